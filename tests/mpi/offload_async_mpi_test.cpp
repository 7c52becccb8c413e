#include <gtest/gtest.h>

#include <map>
#include <tuple>
#include <vector>

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
  std::unique_ptr<Device> cpu = make_cpu_device();
  CountingDevice device{*cpu};
  Stream& comm = device.counted(ranks().comm());
  parallel::Groups groups = parallel::make_groups(
      ranks(), {.data = 1, .cfg = 1, .ulysses = ranks().size(), .ulysses_index = ranks().rank()}, *cpu);
  DeviceAccount account;
  NodeArena arena;
  std::unique_ptr<StageWeights> stage;
  std::vector<std::byte> send = std::vector<std::byte>(1 << 16);
  std::vector<std::byte> recv = std::vector<std::byte>(1 << 16);
  std::unique_ptr<Event> done = device.make_event(EventKind::Order);
  Trace trace{device};
  std::vector<at::Tensor> kept;  // of the toy's module text

  explicit Rig(const Options& options, const ToyShape& shape = {})
      : arena(arena_plan(toy_spec(shape), {}, ranks().node_size()), node_ranks(ranks())) {
    arena.load(toy_source(), 1, {});
    stage = make_stage(arena, options, setup());
  }
  // The way of a GPU: order by events.
  Rig(const Options& options, AsyncPlan plan)
      : arena(arena_plan(toy_spec(), {}, ranks().node_size()), node_ranks(ranks())) {
    arena.load(toy_source(), 1, {});
    plan.residency = plan_residency("toy", 7, options);
    stage = std::make_unique<StageWeights>(arena, setup(),
                                           std::make_unique<Async>(arena, options, setup(), std::move(plan)));
  }
  StageSetup setup() {
    return {.device = &device,
            .account = &account,
            .peers = world_peers(ranks()),
            .weights = groups.weights.get(),
            .gather = &comm,
            .poison = true,
            .trace = &trace};
  }
  std::vector<at::Tensor> forward(int branches) {
    return toy_forward(
        *stage, branches, [this](int) { exchange(); }, &kept);
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

// What this rank ferries and gathers in a forward, once the forwards have shown which modules they use.
struct Moved {
  std::uint64_t ferried = 0;
  std::uint64_t gathered = 0;
};

Moved moved_in_a_forward(const ToyShape& shape, Transport transport) {
  constexpr int kForwards = 2;
  Rig rig({.type = Type::Async, .transport = transport, .interleave = Interleave::Free}, shape);
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(same_bits(rig.forward(1), toy_reference(shape)));
  const Report before = rig.stage->report();
  for (int i = 0; i < kForwards; ++i) EXPECT_TRUE(same_bits(rig.forward(1), toy_reference(shape)));
  const Report after = rig.stage->report();
  return {(after.ferried_bytes - before.ferried_bytes) / kForwards,
          (after.gathered_bytes - before.gathered_bytes) / kForwards};
}

// Of the toy's block, whose five modules of which every forward uses all end at byte 77056: norm 1024,
// modulation 1280, q and k 18688 each, ffn 37376.  Where blocks have module text, it lies behind them.
constexpr std::uint64_t kAlwaysUsed = 77056;
constexpr std::uint64_t kLayers = 7;

// This rank's entry of the row that belongs to the number of ranks.
std::uint64_t of_this_rank(const std::map<int, std::vector<std::uint64_t>>& by_size) {
  return by_size.at(ranks().size()).at(static_cast<std::size_t>(ranks().rank()));
}

TEST_F(AsyncTransport, ShardedFerriesOnePthOfEachBlockWhenEveryForwardUsesAllOfIt) {
  EXPECT_EQ(moved_in_a_forward({}, Transport::Full).ferried, kLayers * kAlwaysUsed);
  const Moved sharded = moved_in_a_forward({}, Transport::Sharded);
  // The block is padded to 77312 and 77824 bytes; nobody copies the padding, which is the last rank's.
  const std::map<int, std::vector<std::uint64_t>> share = {
      {1, {77056}}, {2, {38656, 38400}}, {4, {19456, 19456, 19456, 18688}}};
  EXPECT_EQ(sharded.ferried, kLayers * of_this_rank(share));
  const std::map<int, std::uint64_t> from_others = {{1, 0}, {2, 38656}, {4, 3 * 19456}};
  EXPECT_EQ(sharded.gathered, kLayers * from_others.at(ranks().size()));
}

// Shards are of the block as it lies in memory, not of what is still ferried: the ranks whose shard holds the
// module that is ferried only once copy less than the others, and the gather brings its bytes all the same.
TEST_F(AsyncTransport, ShardedIsUnevenWhenAModuleIsFerriedOnlyOnceAndGathersTheWholeBlock) {
  const ToyShape shape{.text = true};
  EXPECT_EQ(moved_in_a_forward(shape, Transport::Full).ferried, kLayers * kAlwaysUsed);
  const Moved sharded = moved_in_a_forward(shape, Transport::Sharded);
  // 114432 bytes, padded to 114688; the last 37376 are text's.
  const std::map<int, std::vector<std::uint64_t>> share = {
      {1, {77056}}, {2, {57344, 19712}}, {4, {28672, 28672, 19712, 0}}};
  EXPECT_EQ(sharded.ferried, kLayers * of_this_rank(share));
  const std::map<int, std::uint64_t> from_others = {{1, 0}, {2, 57344}, {4, 3 * 28672}};
  EXPECT_EQ(sharded.gathered, kLayers * from_others.at(ranks().size()));
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
