#include <gmock/gmock.h>

#include "launcher_support.h"

namespace ferry::launcher {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Pair;

TEST(Settings, CommandLineBeatsLaterFileBeatsEarlierFileBeatsTheModelsOwn) {
  const TemporaryFolder folder;
  folder.write("ferry.cfg", "[job]\nsteps = 1\nframes = 5\nshift = 7\nguidance = 9\n");
  const std::string first = folder.write("a.cfg", "[job]\nsteps = 2\nframes = 9\nshift = 8\n");
  const std::string second = folder.write("b.cfg", "[job]\nsteps = 3\nframes = 13\n");
  const worker::Options o =
      read({"--steps", "4", "--config", first, "--config", second, "--model", folder.path().string()});
  EXPECT_EQ(o.job.steps, 4);
  EXPECT_EQ(o.job.frames, 13);
  EXPECT_EQ(o.job.shift, 8);
  EXPECT_EQ(o.job.guidance, 9);
}

TEST(Settings, AFileTakesWhatAFlagTakes) {
  const TemporaryFolder folder;
  const std::string file =
      folder.write("a.cfg",
                   "# a comment\n[job]\nprompt = a cat, on a mat = here\nnegative_prompt =\n"
                   "[offload]\nprefetch_size = 2\nlazy_gpu_cache = true\n"
                   "[text_encoder]\noffload.type = model\n");
  const worker::Options o = read({"--config", file});
  EXPECT_EQ(o.job.prompt, "a cat, on a mat = here");
  EXPECT_EQ(o.job.negative_prompt, "");
  EXPECT_EQ(o.offload[worker::Role::Vae].prefetch_size, 2);
  EXPECT_TRUE(o.offload[worker::Role::Dit].lazy_gpu_cache);
  EXPECT_EQ(o.offload[worker::Role::TextEncoder].type, offload::StrategyKind::Model);
  EXPECT_EQ(o.offload[worker::Role::Dit].type, offload::StrategyKind::None);
}

TEST(Settings, AnUnknownKeyNamesTheFileAndTheNearestKey) {
  const TemporaryFolder folder;
  const std::string file = folder.write("a.cfg", "[job]\nstep = 2\n");
  EXPECT_EQ(error_of({"--config", file}), file + ": unknown key 'job.step'; did you mean job.steps?");
  const std::string broken = folder.write("b.cfg", "[job]\nsteps 2\n");
  EXPECT_THAT(error_of({"--config", broken}), HasSubstr(broken));
  EXPECT_THAT(error_of({"--config", "/nowhere.cfg"}), HasSubstr("/nowhere.cfg: no such file"));
}

TEST(Settings, AWrongValueInAFileNamesTheFile) {
  const TemporaryFolder folder;
  const std::string file = folder.write("a.cfg", "[job]\nframes = 0\n");
  EXPECT_EQ(error_of({"--config", file}),
            file + ": job.frames: 0 is out of range; accepted: from 1 to 100000");
}

TEST(Settings, AModelsOwnFileMayNotSayWhereResultsGo) {
  const TemporaryFolder folder;
  folder.write("ferry.cfg", "[job]\nout = /tmp/x.mp4\n");
  EXPECT_THAT(error_of({"--model", folder.path().string()}), HasSubstr("job.out"));
}

TEST(Settings, AStagesOwnKeyWinsOverTheOneForEveryStage) {
  const worker::Options o = read({"--dit.offload.type", "async", "--offload.type", "model",
                                  "--vae.offload.vram_limit", "2.5", "--offload.link_gbps", "4"});
  EXPECT_EQ(o.offload[worker::Role::Dit].type, offload::StrategyKind::Async);
  EXPECT_EQ(o.offload[worker::Role::Vae].type, offload::StrategyKind::Model);
  EXPECT_EQ(o.offload[worker::Role::TextEncoder].type, offload::StrategyKind::Model);
  EXPECT_EQ(o.offload[worker::Role::Vae].vram_limit, 2.5);
  EXPECT_FALSE(o.offload[worker::Role::Dit].vram_limit.has_value());
  EXPECT_EQ(o.offload[worker::Role::TextEncoder].link_gbps, 4);
}

TEST(Settings, ModuleConfigurationsAreListsOfTheSixKeys) {
  const worker::Options o = read({"--offload.module_config", "onload_dtype=bf16, offload_device=cpu"});
  EXPECT_THAT(o.offload[worker::Role::Dit].module_config, Contains(Pair("onload_dtype", "bf16")));
  EXPECT_THAT(o.offload[worker::Role::Dit].module_config, Contains(Pair("offload_device", "cpu")));
  EXPECT_THAT(error_of({"--offload.module_config", "dtype=bf16"}), HasSubstr("computation_dtype"));
  EXPECT_THAT(error_of({"--offload.module_config", "bf16"}), HasSubstr("not key=value"));
}

// A command keeps a copy of its groups; settings may point into either.
TEST(Settings, FlagsAreTheSameInEveryCopyOfTheGroups) {
  const TemporaryFolder folder;
  const std::string file = folder.write("a.cfg", "[job]\nsteps = 2\n");
  worker::Options options;
  const std::vector<FlagGroup> groups = run_keys(options);
  const std::vector<FlagGroup> copy = groups;
  apply_settings(copy, gather_settings(copy, parse_command_line(groups, {"--config", file, "--steps", "3"})),
                 options);
  EXPECT_THAT(options.echo, ::testing::ElementsAre(Pair("job.steps", "3")));
}

TEST(Settings, WhatWasGivenIsEchoedOnceAsKeyAndValue) {
  const TemporaryFolder folder;
  const std::string file = folder.write("a.cfg", "[job]\nsteps = 2\n");
  const worker::Options o = read({"--config", file, "--steps", "3", "--prompt", "x"});
  EXPECT_THAT(o.echo, ::testing::UnorderedElementsAre(Pair("job.steps", "3"), Pair("job.prompt", "x")));
}

}  // namespace
}  // namespace ferry::launcher
