#include <gtest/gtest.h>

#include <algorithm>
#include <tuple>
#include <utility>

#include "base/error.h"
#include "tests/mpi/offload_rig.h"

namespace ferry::offload {
namespace {

using testing::MpiTest;
using testing::ranks;
using testing::same_bits;
using testing::toy_reference;
using testing::toy_spec;
using testing::ToyShape;
using Rig = testing::OffloadRig;

using Case = std::tuple<double, int, Transport, Interleave, double>;

class AsyncMpi : public MpiTest, public ::testing::WithParamInterface<Case> {};

TEST_P(AsyncMpi, GivesTheBitsOfWeightsThatAreSimplyThere) {
  Options options{.type = StrategyKind::Async};
  std::tie(options.offload_ratio, options.prefetch_size, options.transport, options.interleave,
           options.link_gbps) = GetParam();
  Rig rig(options);
  for (const int branches : {2, 1, 1, 2}) {
    EXPECT_TRUE(same_bits(rig.forward(branches), toy_reference({}, branches)));
  }
}

INSTANTIATE_TEST_SUITE_P(All, AsyncMpi,
                         ::testing::Combine(::testing::Values(1.0, 0.5, 0.25), ::testing::Values(1, 2, 3),
                                            ::testing::Values(Transport::Full, Transport::Sharded),
                                            ::testing::Values(Interleave::Free, Interleave::Gated),
                                            ::testing::Values(0.0)));
INSTANTIATE_TEST_SUITE_P(
    SlowLink, AsyncMpi,
    ::testing::Combine(::testing::Values(1.0), ::testing::Values(1),
                       ::testing::Values(Transport::Full, Transport::Sharded, Transport::Auto),
                       ::testing::Values(Interleave::Free, Interleave::Gated, Interleave::Auto),
                       ::testing::Values(0.05)));

class AsyncTransport : public MpiTest {};

// A module that only the first forward uses is a tenth of a block, and in the middle of it: whoever's shard
// it lay in would copy less.
TEST_F(AsyncTransport, ShardedFerriesOnePthOfTheBytesOverEachLink) {
  const ToyShape shape{.q_once = true};
  struct Bytes {
    std::uint64_t ferried = 0;
    std::uint64_t gathered = 0;
  };
  const auto per_pass = [&](Transport transport) {
    Rig rig({.type = StrategyKind::Async, .transport = transport, .interleave = Interleave::Free}, shape);
    const auto forwards = [&](int count) {
      for (int i = 0; i < count; ++i) EXPECT_TRUE(same_bits(rig.forward(1), toy_reference(shape)));
      return rig.stage->report();
    };
    const Report before = forwards(3);
    const Report after = forwards(2);
    return Bytes{(after.ferried_bytes - before.ferried_bytes) / 2,
                 (after.gathered_bytes - before.gathered_bytes) / 2};
  };
  const auto size = static_cast<std::uint64_t>(ranks().size());
  const ArenaLayout layout = arena_layout(toy_spec(shape), ranks().size());
  std::uint64_t wanted = 0;
  std::uint64_t shards = 0;
  for (const BlockPlace& block : layout.blocks) {
    wanted += block.modules[4].offset + block.modules[4].bytes;
    shards += block.front / size;
  }
  EXPECT_EQ(per_pass(Transport::Full).ferried, wanted);
  const Bytes sharded = per_pass(Transport::Sharded);
  // Padding at the end of the last shard is nobody's module.
  EXPECT_LE(sharded.ferried, shards);
  EXPECT_GE(sharded.ferried + std::uint64_t{7} * 256 * size, shards);
  EXPECT_EQ(sharded.gathered, shards * (size - 1));
}

// Ranks that divide unevenly over the machines: what one of them cannot do, none does.
TEST_F(AsyncTransport, ShardedIsFullForAllWhereOneRankIsAloneOnItsMachine) {
  for (const Transport transport : {Transport::Sharded, Transport::Auto}) {
    Rig rig({.type = StrategyKind::Async, .transport = transport, .interleave = Interleave::Free}, {}, true);
    EXPECT_EQ(rig.stage->report().transport, Transport::Full);
    EXPECT_TRUE(same_bits(rig.forward(1), toy_reference({})));
  }
}

// What is asked for is what is done and told, and each rank copies its part of it and all of the rest.
TEST_F(AsyncTransport, AShareIsReportedAndDividesTheBytes) {
  const auto run = [](const Options& options) {
    Rig rig(options);
    const auto after = [&rig](int forwards) {
      for (int i = 0; i < forwards; ++i) EXPECT_TRUE(same_bits(rig.forward(1), toy_reference({})));
      return rig.stage->report();
    };
    const Report before = after(2);
    Report report = after(3);
    report.ferried_bytes -= before.ferried_bytes;
    report.gathered_bytes -= before.gathered_bytes;
    return report;
  };
  const Report full = run({.type = StrategyKind::Async, .share = 0, .interleave = Interleave::Free});
  EXPECT_EQ(full.transport, Transport::Full);
  EXPECT_EQ(full.share, 0);
  EXPECT_EQ(full.gathered_bytes, 0U);
  const double several = ranks().size() > 1 ? 1 : 0;
  const auto whole = static_cast<double>(full.ferried_bytes);
  for (const double share : {0.25, 0.5, 1.0}) {
    for (const Transport transport : {Transport::Auto, Transport::Sharded}) {
      const Report report = run({.type = StrategyKind::Async,
                                 .transport = transport,
                                 .share = share,
                                 .interleave = Interleave::Free});
      EXPECT_EQ(report.share, several * share);
      EXPECT_EQ(report.transport, several > 0 ? Transport::Sharded : Transport::Full);
      const double gathered = several * share * (1 - 1.0 / ranks().size());
      EXPECT_NEAR(static_cast<double>(report.ferried_bytes), (1 - gathered) * whole, 0.01 * whole);
      EXPECT_NEAR(static_cast<double>(report.gathered_bytes), gathered * whole, 0.01 * whole);
    }
  }
}

TEST_F(AsyncTransport, AShareThatMakesNoSenseIsRefused) {
  EXPECT_THROW(Rig({.type = StrategyKind::Async, .share = 1.5}), UserError);
  EXPECT_THROW(Rig({.type = StrategyKind::Async, .transport = Transport::Full, .share = 0.5}), UserError);
  EXPECT_THROW(Rig({.type = StrategyKind::Async, .transport = Transport::Sharded, .share = 0}), UserError);
}

// Whether a copy was on its way during an exchange.
bool overlap(const std::vector<TraceSpan>& spans) {
  for (const TraceSpan& copy : spans) {
    if (copy.lane != Lane::Copy) continue;
    for (const TraceSpan& exchange : spans) {
      if (exchange.lane != Lane::Exchange) continue;
      if (copy.begin_us < exchange.end_us && exchange.begin_us < copy.end_us) return true;
    }
  }
  return false;
}

TEST_F(AsyncTransport, GatedKeepsChunksOutOfExchanges) {
  // A link so slow that copies never end, and exchanges that take a while.
  Options options{.type = StrategyKind::Async,
                  .transport = Transport::Full,
                  .interleave = Interleave::Gated,
                  .link_gbps = 0.02};
  const auto run = [](Rig& rig) {
    rig.send.resize(4 << 20);
    rig.recv.resize(4 << 20);
    EXPECT_TRUE(same_bits(rig.forward(1), toy_reference({})));
    EXPECT_TRUE(same_bits(rig.forward(1), toy_reference({})));
    rig.stage->finish();
    return overlap(rig.trace.spans());
  };
  Rig by_turns(options);
  EXPECT_FALSE(run(by_turns));
  Rig by_events(options, {.interleave = Interleave::Gated, .gate_by_events = true});
  EXPECT_FALSE(run(by_events));
  options.interleave = Interleave::Free;
  Rig free(options);
  EXPECT_TRUE(run(free)) << "the test would not see an overlap";
}

// Exchanges do not wait for weights, where they share their stream with gathers; blocks differ in exchanges,
// as guidance branches share the first one's.
TEST_F(AsyncTransport, GathersComeBehindTheLastExchangeOfABlock) {
  Rig rig({.type = StrategyKind::Async, .transport = Transport::Sharded, .interleave = Interleave::Free});
  for (int pass = 0; pass < 3; ++pass) {
    testing::toy_forward(*rig.stage, 1, [&](int block) {  // called twice in a block
      for (int i = 0; i < (block == 0 ? 1 : 2); ++i) rig.exchange();
    });
  }
  rig.stage->finish();
  std::vector<TraceSpan> spans = rig.trace.spans();
  std::ranges::sort(spans, {}, &TraceSpan::begin_us);
  constexpr int kFirst = 2;
  constexpr int kLater = 4;
  const int of_pass = kFirst + (ToyShape{}.layers - 1) * kLater;
  int exchanges = 0;
  int gathers = 0;
  for (const TraceSpan& span : spans) {
    if (span.lane == Lane::Exchange) ++exchanges;
    if (span.lane != Lane::Gather || exchanges <= of_pass) continue;  // the first pass has nothing to go by
    ++gathers;
    const int in_pass = (exchanges - 1) % of_pass + 1;
    EXPECT_EQ((in_pass - kFirst) % kLater, 0) << "behind exchange " << in_pass;
  }
  EXPECT_EQ(gathers > 0, ranks().size() > 1);
}

TEST_F(AsyncTransport, GatingByEventsGivesTheSameBits) {
  for (const double ratio : {1.0, 0.5}) {
    for (const int prefetch : {1, 3}) {
      for (const Transport transport : {Transport::Full, Transport::Sharded}) {
        Rig rig({.type = StrategyKind::Async, .offload_ratio = ratio, .prefetch_size = prefetch},
                {.sharing = {.share = ranks().size() == 1 || transport == Transport::Full ? 0.0 : 1.0},
                 .interleave = Interleave::Gated,
                 .gate_by_events = true});
        for (const int branches : {2, 1, 1, 2}) {
          EXPECT_TRUE(same_bits(rig.forward(branches), toy_reference({}, branches)));
        }
      }
    }
  }
}

// Traced, poisoned, with exchanges: whatever offload/ and base/ do between two steps goes through the device.
TEST_F(AsyncTransport, ALaterForwardAllocatesNothingMakesNoEventAndDoesNotWait) {
  using parallel::ExchangeBy;
  for (const auto& [share, by] : {std::pair(0.0, ExchangeBy::Auto), std::pair(1.0, ExchangeBy::Auto),
                                  std::pair(1.0, ExchangeBy::Copy), std::pair(0.5, ExchangeBy::Copy)}) {
    if (share > 0 && ranks().size() == 1) continue;
    for (const Interleave interleave : {Interleave::Free, Interleave::Gated}) {
      for (const bool gate_by_events : {true, false}) {
        Rig rig({.type = StrategyKind::Async},
                {.sharing = {.share = share},
                 .interleave = interleave,
                 .gate_by_events = gate_by_events,
                 .slice_bytes = 4096},
                by);
        rig.forward(2);
        rig.device.counts = {};
        for (int i = 0; i < 3; ++i) rig.forward(2);
        EXPECT_EQ(rig.device.counts.total(), 0) << share << " " << name_of(interleave);
      }
    }
  }
}

TEST_F(AsyncTransport, RanksThatDisagreeAreRefused) {
  if (ranks().size() == 1) GTEST_SKIP() << "one rank cannot disagree";
  EXPECT_THROW(Rig({.type = StrategyKind::Async,
                    .offload_ratio = ranks().rank() == 0 ? 1.0 : 0.5,
                    .transport = Transport::Full,
                    .interleave = Interleave::Free}),
               std::invalid_argument);
}

}  // namespace
}  // namespace ferry::offload
