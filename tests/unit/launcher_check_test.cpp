#include "launcher/check.h"

#include <gmock/gmock.h>

#include "launcher_support.h"

namespace ferry::launcher {
namespace {

using ::testing::HasSubstr;

class Check : public ::testing::Test {
 protected:
  Check() {
    options_.model.path = folder_.path().string();
    options_.job.prompt = "a cat";
    options_.job.out = (folder_.path() / "cat.mp4").string();
  }
  std::string error(int ranks = 0) const {
    return user_error_of([&] { check_options(options_, ranks); });
  }
  TemporaryFolder folder_;
  worker::Options options_;
};

TEST_F(Check, AFullJobPasses) { EXPECT_EQ(error(), ""); }

TEST_F(Check, TheModelFolderMustExist) {
  options_.model.path = "/no/such/folder";
  EXPECT_EQ(error(), "--model: model folder /no/such/folder: it does not exist");
  options_.model.path = folder_.write("file", "");
  EXPECT_THAT(error(), HasSubstr("it is a file"));
  options_.model.path = "";
  EXPECT_THAT(error(), HasSubstr("--model"));
}

TEST_F(Check, AnEmptyPromptIsRefusedUnlessThereIsAContext) {
  options_.job.prompt = " \n";
  EXPECT_EQ(error(), "--prompt: the prompt is empty");
  options_.job.context = folder_.write("context.safetensors", "x");
  EXPECT_EQ(error(), "");
}

TEST_F(Check, InputFilesMustExist) {
  options_.job.noise = "/no/noise.safetensors";
  EXPECT_EQ(error(), "--noise: /no/noise.safetensors: no such file");
}

TEST_F(Check, ResultsNeedAFolderThatTakesThemAndReplaceNothingUnasked) {
  options_.job.out = "/no/such/folder/cat.mp4";
  EXPECT_THAT(error(), HasSubstr("--out"));
  options_.job.out = "/proc/cat.mp4";
  EXPECT_THAT(error(), HasSubstr("/proc"));
  options_.job.out = folder_.write("there.mp4", "x");
  EXPECT_THAT(error(), HasSubstr("--overwrite"));
  options_.job.overwrite = true;
  EXPECT_EQ(error(), "");
}

TEST_F(Check, DegreesMustMultiplyToTheRanks) {
  EXPECT_EQ(error(4), "");
  options_.parallel.ulysses = 3;
  EXPECT_EQ(error(4), "4 ranks do not match data 1 x cfg 1 x ulysses 3; 0 stands for what is left");
  EXPECT_EQ(error(3), "");
  EXPECT_EQ(error(6), "") << "the branches on two halves, if there are two";
  options_.parallel.cfg = parallel::CfgMode::Paired;
  EXPECT_NE(error(6), "");
  options_.parallel = {.cfg = parallel::CfgMode::Parallel};
  EXPECT_THAT(error(3), HasSubstr("even number of ranks"));
  EXPECT_EQ(error(6), "");
  options_.parallel = {.ulysses = 2, .cfg = parallel::CfgMode::Serial, .data = 0};
  EXPECT_EQ(error(6), "");
  EXPECT_NE(error(5), "");
}

}  // namespace
}  // namespace ferry::launcher
