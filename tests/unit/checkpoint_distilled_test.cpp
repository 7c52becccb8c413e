// What files say of the steps that they were distilled for.
#include "checkpoint/network/distilled.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/checkpoint_support.h"

namespace ferry::checkpoint {
namespace {

using Metadata = std::map<std::string, std::string>;

int steps_in(const std::string& list) {
  const auto found = distilled_by_header({{"denoising_step_list", list}}, "f");
  EXPECT_TRUE(found) << list;
  EXPECT_EQ(found->from, "denoising_step_list of f");
  return found->steps;
}

TEST(Distilled, AnEvenListOfTimestepsSaysTheNumberOfSteps) {
  EXPECT_EQ(steps_in("[1000, 750, 500, 250]"), 4);
  EXPECT_EQ(steps_in("1000, 750.0, 500, 250"), 4);
  EXPECT_EQ(steps_in("[1000, 500]"), 2);
  EXPECT_EQ(steps_in("[1000]"), 1);
  for (const char* other :
       {"[1000, 757, 522]", "[1000, 667, 333]", "[999, 749, 499, 249]", "[250, 500, 750, 1000]", "[]", "",
        "four", "[1000, \"750\", 500, 250]", "{\"a\": 1}", "[1000, [750]]"})
    EXPECT_EQ(steps_in(other), 0) << other;
}

TEST(Distilled, AHeaderMayNameTheSampler) {
  EXPECT_EQ(distilled_by_header({{"sampler", "step_distill"}}, "f")->steps, 4);
  EXPECT_FALSE(distilled_by_header({{"sampler", "euler"}}, "f"));
  EXPECT_FALSE(distilled_by_header({{"format", "pt"}}, "f"));
}

TEST(Distilled, AConfigMayHaveTheList) {
  const testing::TempFolder folder;
  const auto steps = [&](const std::string& text) {
    testing::write_bytes(folder / "config.json", text);
    return distilled_by_config(folder / "config.json");
  };
  EXPECT_EQ(steps(R"({"denoising_step_list": [1000, 750, 500, 250]})")->steps, 4);
  EXPECT_EQ(steps(R"({"denoising_step_list": [1000, 700]})")->steps, 0);
  EXPECT_FALSE(steps(R"({"denoising_step_list": null})"));
  EXPECT_FALSE(steps(R"({"dim": 5120})"));
  EXPECT_FALSE(distilled_by_config(""));
}

TEST(Distilled, NamesByWhichSuchFilesAreKnown) {
  EXPECT_EQ(distilled_by_name("/loras/Wan21_T2V_14B_lightx2v_cfg_step_distill_lora_rank32.safetensors"),
            "lightx2v");
  EXPECT_EQ(distilled_by_name("Wan2.1-T2V-14B-StepDistill-CfgDistill"), "step_distill");
  EXPECT_EQ(distilled_by_name("x/my_step_distill.safetensors"), "step_distill");
  EXPECT_EQ(distilled_by_name("Wan2.1-Lightning-4steps.safetensors"), "lightning");
  EXPECT_EQ(distilled_by_name("/lightning/style.safetensors"), "");
  EXPECT_EQ(distilled_by_name("distilled_water.safetensors"), "");
}

TEST(Distilled, FoldersThatNameWhatIsInThem) {
  const std::string cached = "/hub/models--someone--Wan2.1-T2V-14B-StepDistill-CfgDistill";
  EXPECT_EQ(distilled_by_name(cached), "step_distill");
  EXPECT_EQ(distilled_by_name(cached + "/snapshots/0123abc"), "step_distill");
  EXPECT_EQ(distilled_by_name(cached + "/snapshots/0123abc/transformer/model.safetensors"), "step_distill");
  EXPECT_EQ(distilled_by_name("/hub/models--lightx2v--loras/snapshots/0/a.safetensors"), "lightx2v");
  EXPECT_EQ(distilled_by_name("loras/my_lightx2v/adapter_model.safetensors"), "lightx2v");
  EXPECT_EQ(distilled_by_name("loras/my_lightx2v/"), "lightx2v");
  EXPECT_EQ(distilled_by_name("snapshots"), "");
  EXPECT_EQ(distilled_by_name("/"), "");
  EXPECT_EQ(distilled_by_name(""), "");
}

TEST(Distilled, TheFirstThatHasStepsElseTheFirst) {
  const std::optional<Distilled> none;
  const std::optional<Distilled> other = Distilled{0, "other"};
  const std::optional<Distilled> four = Distilled{4, "four"};
  const std::optional<Distilled> two = Distilled{2, "two"};
  EXPECT_FALSE(first_with_steps(none, none));
  EXPECT_EQ(first_with_steps(other, none)->from, "other");
  EXPECT_EQ(first_with_steps(none, other)->from, "other");
  EXPECT_EQ(first_with_steps(other, four)->from, "four");
  EXPECT_EQ(first_with_steps(four, other)->from, "four");
  EXPECT_EQ(first_with_steps(two, four)->from, "two");
}

}  // namespace
}  // namespace ferry::checkpoint
