// Whose memory decides: ranks and nodes that are made up, with a DiT of 14B that is not on disk.
#include "worker/job/memory_check.h"

#include <ATen/ops/zeros.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "model/dit/spec.h"
#include "model/text/umt5_spec.h"
#include "model/vae/vae.h"
#include "tests/support/safetensors_io.h"
#include "tests/support/temporary_folder.h"
#include "worker/job/activations.h"
#include "worker/job/guidance.h"
#include "worker/job/network_use.h"
#include "worker/stages/warm_up.h"

namespace ferry::worker {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr std::size_t kGB = 1'000'000'000;

Networks networks_of_14b(const Options& options = {}) {
  Networks networks;
  networks.facts.dit = {.dim = 5120, .ffn_dim = 13824, .heads = 40, .layers = 40};
  networks[Role::Dit].emplace();
  networks[Role::Dit]->spec = model::dit_spec(networks.facts.dit, DType::BF16);
  networks[Role::Dit]->compute = DType::BF16;
  networks[Role::Dit]->plan = offload::make_plan(networks[Role::Dit]->spec, options.offload[Role::Dit], 2);
  networks[Role::Vae].emplace();
  networks[Role::Vae]->spec = model::vae_decoder_spec(networks.facts.vae, DType::F32);
  networks[Role::Vae]->plan = offload::make_plan(networks[Role::Vae]->spec, options.offload[Role::Vae], 2);
  return networks;
}

Job job_480p() {
  Job job;
  job.width = 832;
  job.height = 480;
  job.frames = 81;
  job.guidance = 1;
  job.latent_shape = {16, 21, 60, 104};
  return job;
}

// `ranks` of GPUs of 80 GB, two on a node of 200 GB.
Machine machine_of(int ranks) {
  Machine machine;
  machine.mesh.ulysses = ranks;
  for (int r = 0; r < ranks; ++r) {
    machine.ranks.push_back({.rank = r,
                             .host = "node" + std::to_string(r / 2),
                             .node_index = r / 2,
                             .node_size = std::min(ranks, 2),
                             .host_sharers = std::min(ranks, 2),
                             .on_gpu = true,
                             .device = "H100",
                             .device_use = {.total_bytes = 80 * kGB, .free_bytes = 79 * kGB},
                             .host_memory = {.total_bytes = 200 * kGB, .available_bytes = 190 * kGB}});
  }
  return machine;
}

std::string refusal(const Machine& machine, const Options& options = {}) {
  try {
    check_memory(options, job_480p(), networks_of_14b(options), machine);
  } catch (const UserError& error) {
    return error.what();
  }
  return "";
}

// 40 layers, 32760 tokens of 5120 values in bf16, four trips: 53.7 GB if all crossed in one branch.
TEST(NetworkWarning, SaysWhoSendsHowMuchAndWhatWouldAvoidIt) {
  const Networks networks = networks_of_14b();
  Job job = job_480p();
  const auto warning = [&](const Machine& machine) { return network_warning(job, networks, machine, true); };
  EXPECT_EQ(warning(machine_of(1)), "");
  EXPECT_EQ(warning(machine_of(2)), "");
  EXPECT_EQ(warning(machine_of(4)),
            "ulysses 4 goes over the network: ranks 0-3 (node0 2, node1 2) exchange 26.8 GB a step between "
            "nodes; several videos at a time, on 2 ranks each (--jobs, --data), would send nothing");
  job.guidance = 5;
  EXPECT_THAT(warning(machine_of(4)),
              AllOf(HasSubstr("53.7 GB"), HasSubstr("; --cfg parallel would send nothing")));
  EXPECT_THAT(network_warning(job, networks, machine_of(4), false),
              AllOf(HasSubstr("53.7 GB"), HasSubstr("; several videos at a time, on 2 ranks each")));
  EXPECT_THAT(warning(machine_of(8)),
              AllOf(HasSubstr("80.5 GB"), HasSubstr("--cfg parallel would send 53.7 GB")));
  Machine halves = machine_of(4);
  halves.mesh = {.cfg = 2, .ulysses = 2};
  EXPECT_EQ(warning(halves), "");
  Machine uneven = machine_of(3);
  EXPECT_THAT(warning(uneven),
              AllOf(HasSubstr("ranks 0-2 (node0 2, node1 1)"), HasSubstr("ranks of one node alone")));
}

TEST(NetworkWarning, NamesEachGroupAndAFewOfTheNodes) {
  Job job = job_480p();
  job.guidance = 5;
  Machine machine = machine_of(20);
  machine.mesh = {.cfg = 2, .ulysses = 10};
  EXPECT_THAT(
      network_warning(job, networks_of_14b(), machine, true),
      AllOf(HasSubstr("ranks 0-9 (node0 2, node1 2, node2 2, node3 2 and 1 more), ranks 10-19 (node5 2,"),
            HasSubstr("on 4 ranks each")));
}

TEST(MemoryCheck, PassesWhereEveryRankHasRoom) {
  EXPECT_EQ(refusal(machine_of(1)), "");
  EXPECT_EQ(refusal(machine_of(4)), "");
}

TEST(MemoryCheck, TheFullestDeviceOfAllRanksDecidesAndIsNamed) {
  Machine machine = machine_of(4);
  machine.ranks[3].device_use.free_bytes = 10 * kGB;
  EXPECT_THAT(refusal(machine),
              AllOf(HasSubstr("dit: offload type none"), HasSubstr("10.000 GB of 80.000 GB"),
                    HasSubstr("H100 of rank 3 on node1"), HasSubstr("type async")));
}

// Beside weights that it leaves as they are, sequential has the low-rank additions on the device.
TEST(MemoryCheck, LorasThatSequentialAddsInItsCallsCount) {
  Options options;
  options.offload[Role::Dit].type = offload::StrategyKind::Sequential;
  Networks networks = networks_of_14b(options);
  const testing::TemporaryFolder folder;
  const std::string path = folder.file("lora.safetensors");
  testing::write_safetensors(path, {{"blocks.0.ffn.0.lora_A.weight", at::zeros({256, 5120})},
                                    {"blocks.0.ffn.0.lora_B.weight", at::zeros({13824, 256})}});
  const auto lora = std::make_shared<const checkpoint::LoraFile>(
      checkpoint::LoraFile::open(path, networks[Role::Dit]->spec, checkpoint::Part::Dit));
  const std::size_t bytes = std::size_t{2} * 256 * (5120 + 13824);

  Machine machine = machine_of(1);
  const model::DitActivations how = dit_activations(options, job_480p(), machine.mesh);
  const std::size_t without =
      networks[Role::Dit]->plan.need.bytes + model::activation_bytes(networks.facts.dit, how, DType::BF16);
  const auto refusal_of = [&](double strength, std::size_t free_bytes) -> std::string {
    networks[Role::Dit]->loras =
        std::make_shared<const checkpoint::LoraStack>(checkpoint::LoraStack{{lora, strength}});
    machine.ranks[0].device_use.free_bytes = free_bytes;
    try {
      check_memory(options, job_480p(), networks, machine);
    } catch (const UserError& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_THAT(refusal_of(0, without), Not(HasSubstr("dit: ")));
  EXPECT_THAT(refusal_of(1, without + bytes), Not(HasSubstr("dit: ")));
  EXPECT_THAT(refusal_of(1, without + bytes - 1),
              AllOf(HasSubstr("dit: offload type sequential"), HasSubstr("and 0.010 GB of LoRAs")));
}

TEST(MemoryCheck, TheFullestNodeDecidesAndIsNamed) {
  Machine machine = machine_of(4);
  for (int r : {2, 3}) machine.ranks[r].host_memory.available_bytes = 20 * kGB;
  EXPECT_THAT(refusal(machine),
              AllOf(HasSubstr("dit: the weights take 28.95 GB"), HasSubstr("20.00 GB of 200.00 GB"),
                    HasSubstr("this machine on node1")));
  machine.ranks[2].host_memory.limited_by_cgroup = true;
  machine.ranks[3].host_memory.limited_by_cgroup = true;
  EXPECT_THAT(refusal(machine), HasSubstr("limit of the cgroup on node1"));
}

TEST(MemoryCheck, AStageThatOneRankRunsNeedsThatRanksDeviceAlone) {
  Options options;
  options.offload[Role::Dit].type = offload::StrategyKind::Async;
  options.parallel.split_vae = false;
  Machine machine = machine_of(2);
  machine.ranks[1].device_use.free_bytes = 6 * kGB;  // enough for the DiT's slots, not for a decode
  EXPECT_EQ(refusal(machine, options), "");
  std::swap(machine.ranks[0].device_use, machine.ranks[1].device_use);
  EXPECT_THAT(refusal(machine, options), AllOf(HasSubstr("vae: "), HasSubstr("rank 0")));
}

TEST(MemoryCheck, RanksThatDecodeTogetherNeedTheirShareOnEveryDevice) {
  Networks networks = networks_of_14b();
  networks[Role::Dit].reset();
  Machine machine = machine_of(2);
  for (RankMemory& rank : machine.ranks) rank.device_use.free_bytes = 4 * kGB;
  EXPECT_NO_THROW(check_memory({}, job_480p(), networks, machine)) << "half of 6.6 GB, and weights";
  Options alone;
  alone.parallel.split_vae = false;
  EXPECT_THROW(check_memory(alone, job_480p(), networks, machine), UserError);
  machine.ranks[1].device_use.free_bytes = 3 * kGB;
  EXPECT_THROW(check_memory({}, job_480p(), networks, machine), UserError);
}

TEST(MemoryCheck, AStageThatOneRankRunsNeedsThatRanksNodeAlone) {
  Networks networks = networks_of_14b();
  networks[Role::Dit].reset();
  Options options;
  options.parallel.split_vae = false;
  Machine machine = machine_of(4);
  for (int r : {2, 3}) machine.ranks[r].host_memory.available_bytes = kGB / 100;
  EXPECT_NO_THROW(check_memory(options, job_480p(), networks, machine));
  for (int r : {0, 1}) machine.ranks[r].host_memory.available_bytes = kGB / 100;
  EXPECT_THROW(check_memory(options, job_480p(), networks, machine), UserError);
}

TEST(MemoryCheck, RanksOnTheCpuShareWhatTheirNodeHasLeft) {
  Machine machine = machine_of(2);
  for (RankMemory& rank : machine.ranks) {
    rank.on_gpu = false;
    rank.host_memory.available_bytes = 31 * kGB;
  }
  EXPECT_THAT(refusal(machine), HasSubstr("beside the host copy of the weights"));
  for (RankMemory& rank : machine.ranks) rank.host_memory.available_bytes = 60 * kGB;
  EXPECT_EQ(refusal(machine), "");
  // So do the ranks of other groups.
  for (RankMemory& rank : machine.ranks) rank.host_sharers = 16;
  EXPECT_THAT(refusal(machine), HasSubstr("beside the host copy of the weights"));
}

TEST(MemoryCheck, CopiesThatOtherGroupsUseAreNotFree) {
  Machine machine = machine_of(2);
  for (RankMemory& rank : machine.ranks) {
    rank.on_gpu = false;
    rank.host_memory.available_bytes = 60 * kGB;  // those copies counted
    rank.held[static_cast<std::size_t>(Role::Dit)] = 29 * kGB;
  }
  EXPECT_EQ(refusal(machine), "");
  for (RankMemory& rank : machine.ranks) rank.held[static_cast<std::size_t>(Role::Vae)] = 29 * kGB;
  EXPECT_THAT(refusal(machine), HasSubstr("beside the host copy of the weights"));
}

TEST(MemoryCheck, TheTextEncoderOfABatchNeedsTheFirstRanksMemory) {
  Options options;
  Networks networks = networks_of_14b(options);
  networks.facts.text.emplace();
  networks[Role::TextEncoder].emplace();
  networks[Role::TextEncoder]->compute = DType::BF16;
  networks[Role::TextEncoder]->spec = model::umt5_spec(*networks.facts.text, DType::BF16);
  networks[Role::TextEncoder]->plan =
      offload::make_plan(networks[Role::TextEncoder]->spec, options.offload[Role::TextEncoder], 2);
  Machine machine = machine_of(4);
  machine.ranks[3].device_use.free_bytes = 0;
  EXPECT_NO_THROW(check_text_memory(options, networks, machine));
  machine.ranks[0].device_use.free_bytes = kGB;
  EXPECT_THROW(check_text_memory(options, networks, machine), UserError);
}

parallel::CfgChoice guided(const Machine& machine, const Options& options = {}) {
  Job job = job_480p();
  job.guidance = 5;
  return decide_cfg(options, job, networks_of_14b(options), machine.ranks);
}

TEST(DecideCfg, LooksAtAllMemoryAndNotAtWhatIsFree) {
  EXPECT_EQ(guided(machine_of(2)).mode, parallel::CfgMode::Parallel);
  Machine machine = machine_of(4);
  EXPECT_EQ(guided(machine).mode, parallel::CfgMode::Parallel) << "on two nodes";
  for (RankMemory& rank : machine.ranks) rank.node_index = 0;
  EXPECT_EQ(guided(machine).mode, parallel::CfgMode::Paired);
  machine = machine_of(2);
  for (RankMemory& rank : machine.ranks) rank.device_use.free_bytes = 1 * kGB;
  EXPECT_EQ(guided(machine).mode, parallel::CfgMode::Parallel);
}

// 28.9 GB of weights, and activations of all tokens of one branch.
TEST(DecideCfg, TheSmallestDeviceDecidesWithTheStrategysNeed) {
  Machine machine = machine_of(2);
  machine.ranks[1].device_use.total_bytes = 31 * kGB;
  EXPECT_EQ(guided(machine).mode, parallel::CfgMode::Paired);
  Options options;
  options.offload[Role::Dit].type = offload::StrategyKind::Async;
  EXPECT_EQ(guided(machine, options).mode, parallel::CfgMode::Parallel);
}

TEST(DecideCfg, OnTheCpuRanksShareWhatTheHostCopyLeaves) {
  Machine machine = machine_of(2);
  for (RankMemory& rank : machine.ranks) rank.on_gpu = false;
  EXPECT_EQ(guided(machine).mode, parallel::CfgMode::Parallel);
  for (RankMemory& rank : machine.ranks) rank.host_memory.total_bytes = 32 * kGB;
  EXPECT_EQ(guided(machine).mode, parallel::CfgMode::Paired);
}

TEST(DecideCfg, WhatWasGivenStays) {
  Options options;
  options.parallel.cfg = parallel::CfgMode::Serial;
  EXPECT_EQ(guided(machine_of(2), options).mode, parallel::CfgMode::Serial);
  EXPECT_EQ(guided(machine_of(2), options).why, "");
}

// LibTorch may hold what a step took when offload type auto looks at what is free (offload/make_stage.cpp).
TEST(WarmUp, WhereMemoryIsKeptThereIsRoomForAllWeightsBesideIt) {
  const std::size_t weights = 28 * kGB;
  for (const std::size_t activations : {kGB / 10, 2 * kGB, 20 * kGB}) {
    const auto room = [&](std::size_t free) {
      return 0.95 * static_cast<double>(free - activations) - static_cast<double>(activations);
    };
    const std::size_t most = 2 * (weights + 2 * activations);
    std::size_t least = weights + activations;
    while (least < most && !has_plenty(weights, activations, least)) least += kGB / 100;
    EXPECT_TRUE(has_plenty(weights, activations, least)) << "it is never kept";
    EXPECT_GE(room(least), static_cast<double>(weights)) << activations;
    EXPECT_FALSE(has_plenty(weights, activations, weights + activations));
  }
}

}  // namespace
}  // namespace ferry::worker
