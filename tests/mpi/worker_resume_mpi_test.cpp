// A video that is stopped at every border in turn: the small model, on as many ranks as there are, on the
// device that the program was built for.
#include <ATen/ops/equal.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <vector>

#include "base/error.h"
#include "tests/support/demo_job.h"
#include "tests/support/engine_fixture.h"
#include "tests/support/temporary_folder.h"
#include "worker/engine.h"
#include "worker/generate.h"
#include "worker/state/save_points.h"

namespace ferry::worker {
namespace {

using ::ferry::testing::EngineRanksTest;
using ::ferry::testing::small_job;
using ::ferry::testing::TemporaryFolder;
using ::testing::AllOf;
using ::testing::HasSubstr;

class Resume : public EngineRanksTest {
 protected:
  void SetUp() override {
    EngineRanksTest::SetUp();
    if (!has_device()) return;
    options.model.device = device_name();
  }

  // `from` is the number of steps that the run found done, -1: it began anew.
  Generation make(StopRequest* stop, int& from) {
    Engine engine(options, session());
    Prepared prepared = engine.prepare(options.job);
    if (rank() == 0) {
      from = prepared.resumes ? prepared.unfinished->sampling().steps_done() : -1;
      EXPECT_EQ(prepared.resumes, prepared.unfinished->found());
    }
    Progress silent;
    Generation made;
    generate(engine, prepared, silent, made, {.before_decode = {}, .frames_made = {}, .stop = stop});
    if (rank() == 0) prepared.unfinished->remove();
    return made;
  }
  // True if the run was stopped, on every rank, by a request that only the last one got.
  bool stopped(int& from) {
    StopRequest stop;
    if (rank() == size() - 1) stop.ask();
    bool was = false;
    try {
      make(&stop, from);
    } catch (const Stopped&) {
      was = true;
    }
    EXPECT_EQ(session().all_agree(was), was);
    return was;
  }
  // The UserError that every rank must throw alike.
  std::string refusal(const Options& of) {
    std::string mine;
    try {
      Engine(of, session()).prepare(of.job);
    } catch (const UserError& error) {
      mine = error.what();
    }
    for (const std::string& other : session().all_gather(mine)) EXPECT_EQ(other, mine);
    return mine;
  }

  TemporaryFolder folder;  // one for each rank; only rank 0's is used
  Options options = small_job(folder.file("video.mp4"));
};

TEST_F(Resume, StoppedAtEveryBorderGivesTheSameBits) {
  for (const char* sampler : {"unipc", "dpm++", "euler"}) {
    options.job.sampler = sampler;
    int from = 0;
    const Generation wanted = make(nullptr, from);
    std::vector<int> begun;
    // After the last step decoding is stopped, in each of two latent frames.
    for (int i = 0; i < 6 && stopped(from); ++i) begun.push_back(from);
    const Generation made = make(nullptr, from);
    if (rank() == 0) {
      EXPECT_THAT(begun, ::testing::ElementsAre(-1, 1, 2, 3, 4, 4)) << sampler;
      EXPECT_EQ(from, 4);
      EXPECT_TRUE(at::equal(made.frames, wanted.frames)) << sampler;
      EXPECT_EQ(folder.entries(), 0U);
    }
    EXPECT_TRUE(at::equal(made.latents, wanted.latents)) << sampler;
    EXPECT_TRUE(at::equal(made.noise, wanted.noise)) << sampler;
    ASSERT_EQ(made.contexts.size(), wanted.contexts.size());
    for (std::size_t i = 0; i < made.contexts.size(); ++i)
      EXPECT_TRUE(at::equal(made.contexts[i], wanted.contexts[i])) << sampler;
    EXPECT_EQ(made.stages.size(), 1U) << "only decoding was left";
  }
}

TEST_F(Resume, TheModeOfTheBranchesIsTheStates) {
  options.parallel.cfg = parallel::CfgMode::Serial;
  int from = 0;
  ASSERT_TRUE(stopped(from));
  options.parallel.cfg = parallel::CfgMode::Auto;
  {
    Engine engine(options, session());
    const Prepared prepared = engine.prepare(options.job);
    EXPECT_TRUE(prepared.resumes);
    EXPECT_EQ(prepared.options.parallel.cfg, parallel::CfgMode::Serial);
  }
  options.parallel.cfg = parallel::CfgMode::Paired;
  EXPECT_THAT(refusal(options), AllOf(HasSubstr("state"), HasSubstr("cfg is paired, in the state serial")));
}

TEST_F(Resume, TheKernelOfTheAttentionIsTheStatesOrRefused) {
  options.attention.impl = "math";
  int from = 0;
  ASSERT_TRUE(stopped(from));
  options.attention.impl = "auto";
  {
    Engine engine(options, session());
    const Prepared prepared = engine.prepare(options.job);
    EXPECT_TRUE(prepared.resumes);
    EXPECT_EQ(attention_name(engine, prepared.job), "math");
  }
  if (on_gpu()) return;  // has no flash in fp32
  options.attention.impl = "flash";
  EXPECT_THAT(refusal(options), HasSubstr("attention is flash, in the state math"));
}

TEST_F(Resume, AStateLiesWhereTheOptionSays) {
  options.run.state = folder.file("else");
  int from = 0;
  ASSERT_TRUE(stopped(from));
  if (rank() == 0) {
    EXPECT_TRUE(std::filesystem::exists(options.run.state));
    EXPECT_EQ(folder.entries(), 1U);
  }
}

}  // namespace
}  // namespace ferry::worker
