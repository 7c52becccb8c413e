#include <gtest/gtest.h>

#include <tuple>

#include "offload/async.h"
#include "parallel/groups.h"
#include "tests/support/mpi_fixture.h"
#include "tests/unit/offload_counting.h"
#include "tests/unit/offload_toy.h"

namespace ferry::offload {
namespace {

using testing::CountingDevice;
using testing::MpiTest;
using testing::ranks;
using testing::same_bits;
using testing::toy_forward;
using testing::toy_reference;
using testing::toy_source;
using testing::toy_spec;
using testing::ToyShape;

// All ranks of this test on one node, as one Ulysses group that exchanges in every block.
struct Rig {
  ToyShape shape;
  testing::ToyKept kept;    // with shape.q_once
  bool last_alone = false;  // the last rank has no others to share copies with
  std::unique_ptr<Device> cpu = make_cpu_device();
  CountingDevice device{*cpu};
  Stream& comm = device.counted(ranks().comm());
  parallel::Groups groups = parallel::make_groups(
      ranks(), {.data = 1, .cfg = 1, .ulysses = ranks().size(), .ulysses_index = ranks().rank()}, *cpu);
  DeviceAccount account;
  NodeArena arena{arena_plan(toy_spec(shape), {}, ranks().node_size()), node_ranks(ranks())};
  std::unique_ptr<StageWeights> stage;
  std::vector<std::byte> send = std::vector<std::byte>(1 << 16);
  std::vector<std::byte> recv = std::vector<std::byte>(1 << 16);
  std::unique_ptr<Event> done = device.make_event(EventKind::Order);
  Trace trace{device};

  explicit Rig(const Options& options, const ToyShape& shape = {}, bool last_alone = false)
      : shape(shape), last_alone(last_alone) {
    arena.load(toy_source(), 1, {});
    stage = make_stage(arena, options, setup());
  }
  // The way of a GPU: order by events.
  Rig(const Options& options, AsyncPlan plan) {
    arena.load(toy_source(), 1, {});
    plan.residency = plan_residency("toy", 7, options);
    stage = std::make_unique<StageWeights>(arena, setup(),
                                           std::make_unique<Async>(arena, options, setup(), std::move(plan)));
  }
  StageSetup setup() {
    const bool alone = last_alone && ranks().rank() == ranks().size() - 1;
    return {.device = &device,
            .account = &account,
            .peers = world_peers(ranks()),
            .weights = alone ? nullptr : groups.weights.get(),
            .gather = &comm,
            .poison = true,
            .trace = &trace};
  }
  std::vector<at::Tensor> forward(int branches) {
    return toy_forward(
        *stage, branches, [this](int) { exchange(); }, shape.q_once ? &kept : nullptr);
  }
  void exchange() {
    {
      const parallel::GatedExchange gated(stage->exchange_gate(), comm);
      const TraceScope span(&trace, Lane::Exchange, "exchange", comm);
      const std::size_t bytes = send.size() / static_cast<std::size_t>(groups.ulysses->size());
      groups.ulysses->all_to_all(recv.data(), send.data(), bytes, comm);
    }
    comm.record(*done);
    device.compute().wait(*done);
  }
};

using Case = std::tuple<double, int, Transport, Interleave, double>;

class AsyncMpi : public MpiTest, public ::testing::WithParamInterface<Case> {};

TEST_P(AsyncMpi, GivesTheBitsOfWeightsThatAreSimplyThere) {
  Options options{.type = Type::Async};
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
    Rig rig({.type = Type::Async, .transport = transport, .interleave = Interleave::Free}, shape);
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
  EXPECT_GE(sharded.ferried + 7 * 256 * size, shards);
  EXPECT_EQ(sharded.gathered, shards * (size - 1));
}

// Ranks that divide unevenly over the machines: what one of them cannot do, none does.
TEST_F(AsyncTransport, ShardedIsFullForAllWhereOneRankIsAloneOnItsMachine) {
  for (const Transport transport : {Transport::Sharded, Transport::Auto}) {
    Rig rig({.type = Type::Async, .transport = transport, .interleave = Interleave::Free}, {}, true);
    EXPECT_EQ(rig.stage->report().transport, Transport::Full);
    EXPECT_TRUE(same_bits(rig.forward(1), toy_reference({})));
  }
}

TEST_F(AsyncTransport, AutoShardsWhenTheLinkIsTheBound) {
  Rig rig({.type = Type::Async, .transport = Transport::Auto, .link_gbps = 0.004});
  EXPECT_EQ(rig.stage->report().transport, ranks().size() > 1 ? Transport::Sharded : Transport::Full);
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
  Options options{
      .type = Type::Async, .transport = Transport::Full, .interleave = Interleave::Gated, .link_gbps = 0.02};
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

TEST_F(AsyncTransport, GatingByEventsGivesTheSameBits) {
  for (const double ratio : {1.0, 0.5}) {
    for (const int prefetch : {1, 3}) {
      for (const Transport transport : {Transport::Full, Transport::Sharded}) {
        Rig rig({.type = Type::Async, .offload_ratio = ratio, .prefetch_size = prefetch},
                {.transport = ranks().size() == 1 ? Transport::Full : transport,
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
  for (const Transport transport : {Transport::Full, Transport::Sharded}) {
    if (transport == Transport::Sharded && ranks().size() == 1) continue;
    for (const Interleave interleave : {Interleave::Free, Interleave::Gated}) {
      for (const bool gate_by_events : {true, false}) {
        Rig rig({.type = Type::Async},
                {.transport = transport, .interleave = interleave, .gate_by_events = gate_by_events});
        rig.forward(2);
        rig.device.counts = {};
        for (int i = 0; i < 3; ++i) rig.forward(2);
        EXPECT_EQ(rig.device.counts.total(), 0) << name_of(transport) << " " << name_of(interleave);
      }
    }
  }
}

TEST_F(AsyncTransport, RanksThatDisagreeAreRefused) {
  if (ranks().size() == 1) GTEST_SKIP() << "one rank cannot disagree";
  EXPECT_THROW(Rig({.type = Type::Async,
                    .offload_ratio = ranks().rank() == 0 ? 1.0 : 0.5,
                    .transport = Transport::Full,
                    .interleave = Interleave::Free}),
               std::invalid_argument);
}

}  // namespace
}  // namespace ferry::offload
