// The share that is left open, decided by passes; every pass is compared with the bits of weights that are
// simply there, those across a change of the share too.
#include <fmt/ranges.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "offload/transport/link_probe.h"
#include "tests/mpi/offload_rig.h"
#include "tests/unit/offload_pinning_device.h"

namespace ferry::offload {
namespace {

using parallel::ExchangeBy;
using testing::MpiTest;
using testing::PinningDevice;
using testing::ranks;
using testing::same_bits;
using testing::toy_reference;
using testing::ToyShape;
using Rig = testing::OffloadRig;

constexpr int kMostPasses = 16;
constexpr int kBranches = 2;
// Some 60 and 3 ms a block, where the toy computes for one.
constexpr double kSlow_gbps = 0.001;
constexpr double kFast_gbps = 0.02;
// A pass that takes so much longer than what was emulated shows a machine that is busy with other things.
constexpr double kBusy = 1.3;

struct Pass {
  double share = 0;
  double ms = 0;
};

class AutoShareMpi : public MpiTest {
 protected:
  // Passes until the share is settled and some more, with the share after each, which is the same on every
  // rank.
  static std::vector<Pass> settle(Rig& rig) {
    std::vector<Pass> passes;
    std::string words;
    int after = 0;
    while (passes.size() < kMostPasses && after < 3) {
      const Clock::time_point begin = Clock::now();
      EXPECT_TRUE(same_bits(rig.forward(kBranches), toy_reference(rig.shape, kBranches)));
      const Report report = rig.stage->report();
      passes.push_back({report.share, 1e3 * seconds_since(begin)});
      words += std::to_string(report.share) + " ";
      if (report.share_settled) ++after;
    }
    const Report report = rig.stage->report();
    EXPECT_TRUE(report.share_settled);
    EXPECT_EQ(report.transport, report.share > 0 ? Transport::Sharded : Transport::Full);
    for (const std::string& each : ranks().all_gather(words + report.share_why)) {
      EXPECT_EQ(each, words + report.share_why);
    }
    return passes;
  }
  // Whether passes that count took longer on some rank than `expected_ms(share)` allows.
  static bool busy(const std::vector<Pass>& passes, const std::function<double(double)>& expected_ms) {
    const bool mine = std::any_of(passes.begin() + 2, passes.end(), [&](const Pass& pass) {
      return pass.ms > kBusy * expected_ms(pass.share);
    });
    return !ranks().all_agree(!mine);
  }
  // A plan for a machine on which passes with something shared take `shared_ms` on the slowest rank, and
  // others 100; of gathers and links that say nothing against a trial.
  static AsyncPlan scripted(double first, double shared_ms) {
    AsyncPlan plan{.sharing = {.share = first}, .interleave = Interleave::Free, .slice_bytes = 4096};
    const int slowest = static_cast<int>(ranks().size()) - 1;
    plan.open = AutoSharePlan{
        .figures = {.block_bytes = 1, .together_gbps = 1, .gather_gbps = 1, .ranks = ranks().size()},
        .took = [=](double share) {
          const double ms = share > 0 ? shared_ms : 100;
          return PassTime{.ms = ranks().rank() == slowest ? ms : ms / 2, .copies_ms = 90};
        }};
    return plan;
  }
  static ArenaLayout layout() { return arena_layout(testing::toy_spec(), ranks().size()); }
  // Of an emulated link that is half as fast on the last rank.
  static double uneven_gbps() { return ranks().rank() == ranks().size() - 1 ? kSlow_gbps : 2 * kSlow_gbps; }
  static bool alone() { return ranks().size() == 1; }
};

// In earnest: a share of the bytes of a pass takes that share of its time.
TEST_F(AutoShareMpi, SettlesOnShardedWhereTheLinksAreTheBound) {
  Rig rig({.type = StrategyKind::Async, .interleave = Interleave::Free, .link_gbps = kSlow_gbps});
  const std::vector<Pass> passes = settle(rig);
  const Report report = rig.stage->report();
  EXPECT_EQ(report.share_why.empty(), alone());
  const double full_ms = static_cast<double>(rig.arena.layout().block_bytes()) / kSlow_gbps * 1e-6;
  if (busy(passes,
           [&](double share) { return full_ms * copied_share({.share = share}, 0, ranks().size()); })) {
    GTEST_SKIP() << "the machine is busy: " << report.share_why;
  }
  // Gathers of the CPU may be so slow that a little less than all is sooner.
  EXPECT_TRUE(alone() ? report.share == 0 : report.share > 0.8) << report.share_why;
}

// Gathers take from the computing, as kernels of NCCL do.
TEST_F(AutoShareMpi, SettlesOnFullWhereComputingHidesIt) {
  Rig rig({.type = StrategyKind::Async, .interleave = Interleave::Free, .link_gbps = kFast_gbps});
  const auto block_ms = [](double share) { return share > 0 ? 45.0 : 30.0; };
  rig.compute_ms = [&] { return block_ms(rig.stage->report().share); };
  const std::vector<Pass> passes = settle(rig);
  if (busy(passes, [&](double share) { return kBranches * 7 * block_ms(share); })) {
    GTEST_SKIP() << "the machine is busy: " << rig.stage->report().share_why;
  }
  EXPECT_EQ(rig.stage->report().share, 0) << rig.stage->report().share_why;
}

// Copies become shares and shares copies: by messages in the exchanges' stream, by copies there, and by
// copies in a stream of their own, where gathers leave the way to exchanges.
TEST_F(AutoShareMpi, PassesAcrossAChangeGiveTheSameBits) {
  if (alone()) GTEST_SKIP() << "one rank has nothing to share";
  for (const auto& [by, own] : {std::pair(ExchangeBy::Nccl, false), std::pair(ExchangeBy::Copy, false),
                                std::pair(ExchangeBy::Copy, true)}) {
    for (const int prefetch : {1, 3}) {
      const Options options{.type = StrategyKind::Async, .prefetch_size = prefetch, .link_gbps = kFast_gbps};
      Rig to_shares(options, scripted(0, 50), by, own);
      const std::vector<Pass> more = settle(to_shares);
      EXPECT_EQ(more.front().share, 0);
      EXPECT_EQ(more.back().share, 1) << to_shares.stage->report().share_why;
      Rig to_copies(options, scripted(1, 150), by, own);
      const std::vector<Pass> less = settle(to_copies);
      EXPECT_EQ(less.front().share, 1);
      EXPECT_EQ(less.back().share, 0) << to_copies.stage->report().share_why;
    }
  }
}

TEST_F(AutoShareMpi, GatedPassesAcrossAChangeGiveTheSameBits) {
  if (alone()) GTEST_SKIP() << "one rank has nothing to share";
  for (const bool by_events : {true, false}) {
    for (const double first : {0, 1}) {
      AsyncPlan plan = scripted(first, first == 0 ? 50 : 150);
      plan.interleave = Interleave::Gated;
      plan.gate_by_events = by_events;
      Rig rig({.type = StrategyKind::Async, .link_gbps = kFast_gbps}, std::move(plan), ExchangeBy::Copy);
      EXPECT_EQ(settle(rig).back().share, 1 - first) << rig.stage->report().share_why;
    }
  }
}

TEST_F(AutoShareMpi, ASettledShareCostsNothing) {
  if (alone()) GTEST_SKIP() << "one rank has nothing to share";
  for (const double first : {0, 1}) {
    Rig rig({.type = StrategyKind::Async}, scripted(first, first == 0 ? 50 : 150), ExchangeBy::Copy);
    settle(rig);
    rig.device.counts = {};
    const std::uint64_t gathered = rig.stage->report().gathered_bytes;
    for (int i = 0; i < 3; ++i) rig.forward(kBranches);
    EXPECT_EQ(rig.device.counts.total(), 0);
    EXPECT_EQ(rig.stage->report().gathered_bytes > gathered, first == 0) << rig.stage->report().share;
  }
}

// What fills caches brings more than later passes: were it compared, the share would change at once.
TEST_F(AutoShareMpi, FirstPassesDoNotCount) {
  if (alone()) GTEST_SKIP() << "one rank has nothing to share";
  Rig rig({.type = StrategyKind::Async}, scripted(0, 50), ExchangeBy::Copy, false, {.q_once = true});
  for (int prompt = 0; prompt < 6; ++prompt) {  // each has its own cache
    rig.kept.clear();
    rig.forward(kBranches);
    EXPECT_EQ(rig.stage->report().share, 0);
    EXPECT_FALSE(rig.stage->report().share_settled);
  }
  EXPECT_EQ(settle(rig).back().share, 1) << rig.stage->report().share_why;
}

TEST_F(AutoShareMpi, AStatedShareIsNotCompared) {
  Rig rig({.type = StrategyKind::Async, .share = 0.5, .interleave = Interleave::Free});
  rig.forward(1);
  rig.device.counts = {};
  for (int i = 0; i < 3; ++i) rig.forward(1);
  EXPECT_EQ(rig.device.counts.total(), 0);
  EXPECT_TRUE(rig.stage->report().share_settled);
  EXPECT_EQ(rig.stage->report().share_why, "");
}

// The last rank's link is half as fast as the others'.
TEST_F(AutoShareMpi, PartsFollowTheLinks) {
  const auto others = static_cast<std::size_t>(ranks().size()) - 1;
  Rig rig({.type = StrategyKind::Async, .interleave = Interleave::Free, .link_gbps = uneven_gbps()});
  settle(rig);
  const Report before = rig.stage->report();
  const std::string words = fmt::format("{}", fmt::join(before.parts, " "));
  for (const std::string& each : ranks().all_gather(words)) EXPECT_EQ(each, words);
  ASSERT_EQ(before.parts.size(), alone() ? 0 : others + 1);
  // Half, as far as a busy machine lets the emulated links be what they should.
  for (std::size_t r = 0; r < others; ++r) EXPECT_GT(before.parts[r], 1.3 * before.parts[others]);
  // Of one forward more each rank copies its part of what is shared, and the rests.
  EXPECT_TRUE(same_bits(rig.forward(kBranches), toy_reference(rig.shape, kBranches)));
  const Report after = rig.stage->report();
  double wanted = 0;
  const ArenaLayout& layout = rig.arena.layout();
  for (const BlockPlace& block : layout.blocks) {
    for (const ModulePlace& module : block.modules) wanted += static_cast<double>(module.bytes);
  }
  const double mine =
      copied_share({.share = after.share, .weights = after.parts}, ranks().rank(), ranks().size());
  const double rounding = 2 * 256.0 * static_cast<double>(layout.blocks.size() * (others + 1));
  EXPECT_NEAR(static_cast<double>(after.ferried_bytes - before.ferried_bytes), mine * wanted, rounding);
}

// A rank page-locks its even part first, and copies of what is not locked are slow.
TEST_F(AutoShareMpi, UnevenPartsWaitForAllPageLocking) {
  if (alone()) GTEST_SKIP() << "one rank has nothing to share";
  const std::vector<int> divided = {0, 1, 2, 3, 4, 5};
  const std::size_t first =
      pin_order(layout(), divided, ranks().rank(), ranks().size(), ranks().size()).first.size();
  for (const bool differ : {false, true}) {
    std::size_t asked = 0;
    PinningDevice device;
    device.on_pin = [&](const std::byte*, std::size_t) {
      if (++asked > first) std::this_thread::sleep_for(std::chrono::milliseconds(100));
    };
    const auto cpu = make_cpu_device();
    const parallel::Groups groups = testing::one_video(ranks(), *cpu);
    DeviceAccount account;
    NodeArena arena(arena_plan(testing::toy_spec(), ranks().node_size()), node_ranks(ranks()));
    arena.begin_pin(device, divided);
    // Lazy: views on a GPU that is none cannot be made.
    const Options options{.type = StrategyKind::Async,
                          .lazy_gpu_cache = true,
                          .interleave = Interleave::Free,
                          .link_gbps = differ ? uneven_gbps() : kSlow_gbps};
    const auto stage = testing::stage_over(arena, options,
                                           {.device = &device,
                                            .account = &account,
                                            .peers = world_peers(ranks()),
                                            .copy_sharers = groups.copy_sharers.get(),
                                            .gather_stream = &ranks().comm()});
    const bool uneven = !stage->report().parts.empty();
    EXPECT_EQ(ranks().all_agree(arena.pinning_over()), uneven);
    EXPECT_TRUE(uneven || !differ);
  }
}

// Each costs more, the more ranks there are: five for each of five measurements, and a rank's turn alone.
TEST_F(AutoShareMpi, LinksAreMeasuredWithFewBarriers) {
  if (alone()) GTEST_SKIP() << "one rank has nothing to share";
  Rig rig({.type = StrategyKind::Async, .transport = Transport::Full, .interleave = Interleave::Free});
  StageSetup setup = rig.setup();
  int barriers = 0;
  setup.peers.barrier = [&barriers, all = setup.peers.barrier] {
    ++barriers;
    all();
  };
  EXPECT_GT(measure_links(rig.arena, 0, setup).alone_gbps, 0);
  EXPECT_EQ(barriers, 25 + ranks().size());
}

// Who says what is shared gets even parts.
TEST_F(AutoShareMpi, AStatedShareHasEvenParts) {
  Rig rig({.type = StrategyKind::Async, .transport = Transport::Sharded, .link_gbps = uneven_gbps()});
  EXPECT_TRUE(same_bits(rig.forward(1), toy_reference({})));
  EXPECT_TRUE(rig.stage->report().parts.empty());
}

// The share that was found is kept when the slots go and when the stage runs again.
TEST_F(AutoShareMpi, WhatIsSettledStays) {
  if (alone()) GTEST_SKIP() << "one rank has nothing to share";
  Rig rig({.type = StrategyKind::Async}, scripted(0, 50), ExchangeBy::Copy);
  settle(rig);
  const Report settled = rig.stage->report();
  dynamic_cast<Async&>(rig.stage->strategy()).cleanup_gpu_cache();
  EXPECT_TRUE(same_bits(rig.forward(1), toy_reference({})));
  rig.stage->finish();
  EXPECT_TRUE(same_bits(rig.forward(1), toy_reference({})));
  EXPECT_EQ(rig.stage->report().share, settled.share);
  EXPECT_EQ(rig.stage->report().share_why, settled.share_why);
}

}  // namespace
}  // namespace ferry::offload
