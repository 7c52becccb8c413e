// The share that is left open, decided by passes over an emulated link; every pass is compared with the bits
// of weights that are simply there, those across a change of the share too.
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "tests/mpi/offload_rig.h"

namespace ferry::offload {
namespace {

using parallel::ExchangeBy;
using testing::MpiTest;
using testing::ranks;
using testing::same_bits;
using testing::toy_reference;
using testing::ToyShape;
using Rig = testing::OffloadRig;

constexpr int kMostPasses = 16;
// Some 60 and 3 ms a block.  A busy machine makes the toy's computing longer than it is, so copies, or what
// the test sleeps beside it, are much longer.
constexpr double kSlow_gbps = 0.001;
constexpr double kFast_gbps = 0.02;

class AutoShareMpi : public MpiTest {
 protected:
  // Passes until the share is settled and some more; the share after each, the same on every rank.
  static std::vector<double> settle(Rig& rig) {
    std::vector<double> shares;
    std::string words;
    int after = 0;
    for (int pass = 0; pass < kMostPasses && after < 3; ++pass) {
      EXPECT_TRUE(same_bits(rig.forward(2), toy_reference(rig.shape, 2))) << "pass " << pass;
      const Report report = rig.stage->report();
      shares.push_back(report.share);
      words += std::to_string(report.share) + " ";
      if (report.share_settled) ++after;
    }
    const Report report = rig.stage->report();
    EXPECT_TRUE(report.share_settled);
    EXPECT_EQ(report.transport, report.share > 0 ? Transport::Sharded : Transport::Full);
    for (const std::string& each : ranks().all_gather(words + report.share_why)) {
      EXPECT_EQ(each, words + report.share_why);
    }
    return shares;
  }
  // The wrong share to begin with: figures that say the opposite of what passes take.
  static AsyncPlan misled(double first, const ArenaLayout& layout) {
    AsyncPlan plan{.sharing = {.share = first}, .interleave = Interleave::Free, .slice_bytes = 4096};
    plan.figures = ShareFigures{.block_bytes = layout.largest_block(),
                                .together_gbps = first > 0 ? 0.01 : 10,
                                .gather_gbps = 10,
                                .ranks = ranks().size()};
    return plan;
  }
  static ArenaLayout layout() { return arena_layout(testing::toy_spec(), ranks().size()); }
  static bool alone() { return ranks().size() == 1; }
};

TEST_F(AutoShareMpi, SettlesOnShardedWhereTheLinksAreTheBound) {
  Rig rig({.type = Type::Async, .interleave = Interleave::Free, .link_gbps = kSlow_gbps}, {.q_once = true});
  settle(rig);
  const Report report = rig.stage->report();
  // Gathers of the CPU may be so slow that a little less than all is sooner.
  EXPECT_TRUE(alone() ? report.share == 0 : report.share > 0.8) << report.share_why;
  EXPECT_EQ(report.share_why.empty(), alone());
}

// Gathers take from the computing, as kernels of NCCL do.
TEST_F(AutoShareMpi, SettlesOnFullWhereComputingHidesIt) {
  Rig rig({.type = Type::Async, .interleave = Interleave::Free, .link_gbps = kFast_gbps});
  rig.compute_ms = [&rig] { return rig.stage->report().share > 0 ? 45.0 : 30.0; };
  settle(rig);
  EXPECT_EQ(rig.stage->report().share, 0) << rig.stage->report().share_why;
  rig.device.counts = {};
  const std::uint64_t gathered = rig.stage->report().gathered_bytes;
  for (int i = 0; i < 3; ++i) rig.forward(2);
  EXPECT_EQ(rig.device.counts.total(), 0) << "a settled share costs nothing any more";
  EXPECT_EQ(rig.stage->report().gathered_bytes, gathered);
}

// Copies become shares and shares copies, by messages in the exchanges' stream and by copies in one of their
// own, where gathers leave the way to exchanges.
TEST_F(AutoShareMpi, PassesAcrossAChangeGiveTheSameBits) {
  if (alone()) GTEST_SKIP() << "one rank has nothing to share";
  for (const ExchangeBy by : {ExchangeBy::Nccl, ExchangeBy::Copy}) {
    const bool own = by == ExchangeBy::Copy;
    const int prefetch = own ? 3 : 1;
    const Options slow{.type = Type::Async, .prefetch_size = prefetch, .link_gbps = kSlow_gbps};
    Rig to_shares(slow, misled(0, layout()), by, own);
    const std::vector<double> shares = settle(to_shares);
    EXPECT_EQ(shares.front(), 0);
    EXPECT_EQ(shares.back(), 1) << to_shares.stage->report().share_why;

    const Options fast{.type = Type::Async, .prefetch_size = prefetch, .link_gbps = kFast_gbps};
    Rig to_copies(fast, misled(1, layout()), by, own);
    to_copies.compute_ms = [&] { return to_copies.stage->report().share > 0 ? 45.0 : 30.0; };
    const std::vector<double> fewer = settle(to_copies);
    EXPECT_EQ(fewer.front(), 1);
    EXPECT_LT(fewer.back(), 1) << to_copies.stage->report().share_why;
  }
}

TEST_F(AutoShareMpi, GatedPassesAcrossAChangeGiveTheSameBits) {
  if (alone()) GTEST_SKIP() << "one rank has nothing to share";
  for (const bool by_events : {true, false}) {
    AsyncPlan plan = misled(0, layout());
    plan.interleave = Interleave::Gated;
    plan.gate_by_events = by_events;
    Rig rig({.type = Type::Async, .link_gbps = kSlow_gbps}, std::move(plan), ExchangeBy::Copy);
    EXPECT_EQ(settle(rig).back(), 1) << rig.stage->report().share_why;
  }
}

// What fills caches brings more than later passes, and the first pass of all warms things up.
TEST_F(AutoShareMpi, FirstPassesDoNotCount) {
  if (alone()) GTEST_SKIP() << "one rank has nothing to share";
  Rig rig({.type = Type::Async, .interleave = Interleave::Free, .link_gbps = kSlow_gbps}, {.q_once = true});
  for (int branches = 0; branches < 2; ++branches) {  // one after the other: each has its own cache
    rig.kept.clear();
    rig.forward(1);
    EXPECT_FALSE(rig.stage->report().share_settled);
  }
  settle(rig);
  EXPECT_TRUE(rig.stage->report().share_settled);
}

TEST_F(AutoShareMpi, AStatedShareIsNotCompared) {
  Rig rig({.type = Type::Async, .share = 0.5, .interleave = Interleave::Free});
  rig.forward(1);
  rig.device.counts = {};
  for (int i = 0; i < 3; ++i) rig.forward(1);
  EXPECT_EQ(rig.device.counts.total(), 0);
  EXPECT_TRUE(rig.stage->report().share_settled);
  EXPECT_EQ(rig.stage->report().share_why, "");
}

// The share that was found is kept when the slots go and when the stage runs again.
TEST_F(AutoShareMpi, WhatIsSettledStays) {
  Rig rig({.type = Type::Async, .interleave = Interleave::Free, .link_gbps = kSlow_gbps});
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
