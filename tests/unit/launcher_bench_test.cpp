// Options that a measurement does not use.
#include <gmock/gmock.h>

#include <list>

#include "launcher/commands/bench_unused.h"

namespace ferry::launcher {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class Unused : public ::testing::Test {
 protected:
  std::vector<std::string> keys(Measures what, const std::vector<std::string>& given, bool of_model = false) {
    std::vector<Setting> settings;
    options_.run.echo.clear();
    for (const std::string& key : given) {
      flags_.push_back({.key = key, .short_form = "", .value_name = "", .help = ""});
      settings.push_back({.flag = &flags_.back(), .written = key, .value = "1", .of_model = of_model});
      options_.run.echo.emplace_back(key, "1");
    }
    return unused_keys(settings, options_, what);
  }
  BenchOptions options_;

 private:
  std::list<Flag> flags_;
};

TEST_F(Unused, WhatSaysHowAVideoIsMadeIsNoPartOfAMeasurement) {
  const std::vector<std::string> given = {"model.path",        "model.device", "job.size",    "job.prompt",
                                          "run.deadline_s",    "run.machine",  "run.dry_run", "run.jobs",
                                          "run.log_level",     "lora.path",    "trace.file",  "samples",
                                          "parallel.split_vae"};
  for (const Measures what : {Measures::Forward, Measures::Decode, Measures::Offload}) {
    EXPECT_THAT(keys(what, given), ElementsAre("job.prompt", "run.machine", "run.dry_run", "run.jobs",
                                               "lora.path", "trace.file", "parallel.split_vae"));
    EXPECT_THAT(keys(what, given, true), IsEmpty()) << "of the checkpoint's own file";
  }
}

TEST_F(Unused, IsWhatIsOfAnotherStage) {
  const std::vector<std::string> given = {"model.dtype",    "model.vae_dtype",  "parallel.cfg",
                                          "attention.impl", "dit.offload.type", "vae.offload.type",
                                          "branches",       "offload.type",     "warmups"};
  EXPECT_THAT(keys(Measures::Forward, given), ElementsAre("model.vae_dtype", "vae.offload.type"));
  EXPECT_THAT(keys(Measures::Decode, given),
              ElementsAre("model.dtype", "attention.impl", "dit.offload.type", "branches", "warmups"));
}

TEST_F(Unused, IsWhatIsOfAnotherOffloadType) {
  const std::vector<std::string> given = {"offload.prefetch_size", "offload.pin_cpu_memory"};
  EXPECT_THAT(keys(Measures::Forward, given), ElementsAre("offload.prefetch_size"));
  options_.run.offload[worker::Role::Vae].type = offload::StrategyKind::Async;
  EXPECT_THAT(keys(Measures::Forward, given), ElementsAre("offload.prefetch_size"));
  EXPECT_THAT(keys(Measures::Decode, given), IsEmpty());
}

TEST_F(Unused, IsWhatTheListsOfBenchOffloadReplace) {
  EXPECT_THAT(keys(Measures::Offload, {"types", "ratios", "dit.offload.type", "offload.offload_ratio",
                                       "dit.offload.link_gbps", "offload.vram_limit", "warmups"}),
              ElementsAre("dit.offload.type", "offload.offload_ratio", "warmups"));
}

}  // namespace
}  // namespace ferry::launcher
