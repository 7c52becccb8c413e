// Which sampling the files of distilled models and LoRAs choose, and what is said of it.
#include "worker/distillation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cstddef>
#include <filesystem>

#include "checkpoint/formats/safetensors.h"
#include "tests/support/demo_job.h"
#include "tests/support/temporary_folder.h"
#include "worker/planner/plan_text.h"
#include "worker/planner/planner.h"

namespace ferry::worker {
namespace {

using ::ferry::testing::small_job;
using ::ferry::testing::TemporaryFolder;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

std::optional<checkpoint::Distilled> says(int steps) {
  return checkpoint::Distilled{steps, "denoising_step_list of f"};
}

// What a run takes whose model's defaults are 50 steps of unipc with guidance 5.
Job job_of(const JobOptions& options) { return resolve_steps(options, {}, false); }

std::string note_of(int steps, const JobOptions& given) {
  return said_note(says(steps), given, job_of(with_distilled(given, says(steps))));
}

TEST(Distillation, AFileThatSaysItsStepsChoosesTheSamplerWhereNothingElseIsSaid) {
  const JobOptions none;
  const Job job = job_of(with_distilled(none, says(2)));
  EXPECT_EQ(job.sampler, "step_distill");
  EXPECT_EQ(job.steps, 2);
  EXPECT_FALSE(job.guided());
  EXPECT_EQ(note_of(2, none),
            "sampler step_distill, 2 steps, guidance 1, shift 5: by denoising_step_list of f");
  JobOptions same;
  same.steps = 2;
  same.guidance = 1;
  EXPECT_EQ(with_distilled(same, says(2)).sampler, "step_distill");
  EXPECT_FALSE(with_distilled(none, says(0)).sampler);
  EXPECT_FALSE(with_distilled(none, {}).sampler);
}

TEST(Distillation, OtherStepsOrGuidanceKeepTheirSampler) {
  JobOptions recipe;
  recipe.steps = 50;
  recipe.guidance = 5;
  EXPECT_EQ(note_of(4, recipe),
            "denoising_step_list of f: it is for step_distill, 4 steps without guidance, but the sampler is "
            "unipc, with 50 steps and guidance 5; --steps 4 --guidance 1 follows it");
  recipe.guidance.reset();
  EXPECT_THAT(note_of(4, recipe), AllOf(HasSubstr("; --steps 4 follows it"), HasSubstr("is unipc")));
  recipe.steps = 30;  // no divisor of 1000, which step_distill refuses
  EXPECT_EQ(job_of(with_distilled(recipe, says(4))).sampler, "unipc");
  recipe.steps = 4;
  recipe.guidance = 3;
  EXPECT_THAT(note_of(4, recipe), HasSubstr("; --guidance 1 follows it"));
}

TEST(Distillation, ANamedSamplerIsTakenAsItIs) {
  JobOptions named;
  named.sampler = "euler";
  EXPECT_EQ(job_of(with_distilled(named, says(4))).steps, 50);
  EXPECT_EQ(note_of(4, named), "");
  EXPECT_THAT(note_of(0, named), HasSubstr("not the steps of step_distill, and the sampler is euler"));
  named.sampler = "step_distill";
  EXPECT_EQ(note_of(4, named), "");
}

TEST(Distillation, TheSchedulersSamplerIsNamedOnlyWhereNothingChose) {
  const SamplingSaid said{.scheduler = "euler"};
  JobOptions given;
  EXPECT_THAT(scheduler_note(said, given, job_of(given)), HasSubstr("this run takes unipc, --sampler euler"));
  EXPECT_EQ(scheduler_note(said, given, job_of(with_distilled(given, says(4)))), "");
  EXPECT_EQ(scheduler_note({.scheduler = "unipc"}, given, job_of(given)), "");
  given.sampler = "dpm++";
  EXPECT_EQ(scheduler_note(said, given, job_of(given)), "");
}

class DistilledFiles : public ::testing::Test {
 protected:
  // A LoRA of the small model, the header of which has this list; added to the job's.
  std::string add_lora(const std::string& name, const std::string& list, double strength = 1) {
    const std::string path = folder.file(name);
    std::filesystem::create_directories(std::filesystem::path(path).parent_path());
    std::map<std::string, std::string> metadata;
    if (!list.empty()) metadata["denoising_step_list"] = list;
    const std::array<std::byte, std::size_t{2} * 192 * sizeof(float)> zeros{};
    checkpoint::SafetensorsWriter file(path,
                                       {{"blocks.0.self_attn.q.lora_A.weight", DType::F32, {2, 192}},
                                        {"blocks.0.self_attn.q.lora_B.weight", DType::F32, {192, 2}}},
                                       metadata);
    file.write(zeros);
    file.write(zeros);
    file.finish();
    options.job.loras.push_back({path, strength});
    return path;
  }
  Networks opened() {
    Networks networks = open_networks(options);
    read_said(said, networks);
    return networks;
  }
  int steps() {
    const auto found = distilled_of(said, opened());
    return found ? found->steps : -1;
  }

  TemporaryFolder folder;
  Options options = small_job(folder.file("x.mp4"));
  SamplingSaid said;
};

TEST_F(DistilledFiles, ALoraWithAnotherListHidesNoneThatHasSteps) {
  EXPECT_EQ(steps(), -1);
  add_lora("plain.safetensors", "");
  EXPECT_EQ(steps(), -1);
  add_lora("other.safetensors", "[1000, 757, 522]");
  EXPECT_EQ(steps(), 0);
  said.dit = says(4);  // as its own config.json may
  EXPECT_EQ(steps(), 4);
  add_lora("off.safetensors", "[1000]", 0);
  EXPECT_EQ(steps(), 4);
  add_lora("two.safetensors", "[1000, 500]");
  EXPECT_EQ(steps(), 2);
}

TEST_F(DistilledFiles, AFileIsReadOnceAndMayGoThen) {
  const std::string path = add_lora("four.safetensors", "[1000, 750, 500, 250]");
  const Networks networks = opened();
  std::filesystem::remove(path);
  read_said(said, networks);
  EXPECT_EQ(distilled_of(said, networks)->steps, 4);
}

TEST_F(DistilledFiles, FoldersOfLorasAreKnownByTheirNames) {
  add_lora("my_lightx2v/adapter_model.safetensors", "");
  options.job.loras.back().path = folder.file("my_lightx2v");
  const Networks networks = opened();
  Job job = job_of(options.job);
  job.steps = 50;
  EXPECT_THAT(distilled_note(networks, {}, options.job, job),
              AllOf(StartsWith(folder.file("my_lightx2v") + ": 'lightx2v' in its name"),
                    HasSubstr("; --sampler step_distill --guidance 1 follows it")));
  options.job.steps = 50;
  EXPECT_THAT(distilled_note(networks, {}, options.job, job), HasSubstr(" --steps 4 --guidance 1 follows"));
  job.loras.back().strength = 0;
  EXPECT_EQ(distilled_note(networks, {}, options.job, job), "");
}

TEST(Distillation, APlanHasTheStepsThatFilesChoose) {
  ModelShapes model = model_shapes("1.3B");
  const MachineRates machine = load_machine("h100");
  const auto made = [&](const PlanRequest& request) { return make_plans(model, request, machine); };
  model.distilled = says(2);
  EXPECT_EQ(made({}).job.steps, 2);
  EXPECT_FALSE(made({}).job.guided);
  EXPECT_EQ(made({.distilled = says(4)}).job.steps, 4);  // a LoRA's
  EXPECT_EQ(made({.distilled = says(0)}).job.steps, 2);
  const std::string line = "sampler step_distill, 2 steps, guidance 1, shift 5: by denoising_step_list of f";
  EXPECT_THAT(plan_table(made({}), model, machine, 4),
              AllOf(HasSubstr(", 2 steps;"), HasSubstr(line + "\n")));
  EXPECT_THAT(plan_json(made({}), model, machine), HasSubstr("\"notes\":[\"" + line + "\"]"));
  const Plans own = made({.steps = 30});
  EXPECT_EQ(own.job.steps, 30);
  EXPECT_TRUE(own.job.guided);
  EXPECT_THAT(own.job.note, HasSubstr("; --steps 2 follows it"));
  model.distilled.reset();
  EXPECT_THAT(plan_table(made({}), model, machine, 4), Not(HasSubstr("step_distill")));
}

}  // namespace
}  // namespace ferry::worker
