#include <gtest/gtest.h>

#include <cstring>

#include "base/host/memory_use.h"
#include "offload/arena/arena.h"
#include "tests/support/mpi_fixture.h"
#include "tests/unit/offload_toy.h"

namespace ferry::offload {
namespace {

using testing::MpiTest;
using testing::ranks;
using testing::same_bits;
using testing::toy_forward;
using testing::toy_source;
using testing::toy_spec;
using testing::ToyShape;

class ArenaMpi : public MpiTest, public ::testing::WithParamInterface<MemoryKind> {};

TEST_P(ArenaMpi, RanksLoadTogetherAndEachReadsEverything) {
  ArenaPlan plan = arena_plan(toy_spec(), ranks().node_size());
  plan.first = GetParam();
  NodeArena arena(plan, node_ranks(ranks()));
  EXPECT_EQ(arena.kind(), GetParam());
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(arena.data()) % kBlobAlign, 0U);
  arena.load(toy_source(), 1, {});
  const auto device = make_cpu_device();
  DeviceAccount account;
  const StageSetup setup{.device = device.get(), .account = &account, .peers = world_peers(ranks())};
  const auto stage = testing::stage_over(arena, {.type = StrategyKind::Model}, setup);
  EXPECT_TRUE(same_bits(toy_forward(*stage), testing::toy_reference({})));
}

INSTANTIATE_TEST_SUITE_P(Kinds, ArenaMpi,
                         ::testing::Values(MemoryKind::Memfd, MemoryKind::Window, MemoryKind::Private),
                         [](const auto& info) {
                           return std::string(info.param == MemoryKind::Window ? "window"
                                                                               : name_of(info.param));
                         });

class AutoType : public MpiTest {};

TEST_F(AutoType, NeedsNoRoomForWeightsThatAreUsedInPlace) {
  NodeArena arena(arena_plan(toy_spec(), ranks().node_size()), node_ranks(ranks()));
  arena.load(toy_source(), 1, {});
  const auto device = make_cpu_device();
  DeviceAccount account;
  StageSetup setup{.device = device.get(), .account = &account, .peers = world_peers(ranks())};
  setup.activation_bytes = device->memory().total_bytes;
  const auto stage = testing::stage_over(arena, {.type = StrategyKind::Auto}, setup);
  EXPECT_EQ(stage->report().type, StrategyKind::None);
  EXPECT_TRUE(same_bits(toy_forward(*stage), testing::toy_reference({})));
}

// What the last rank has left decides for all.  On the CPU weights are used in place, but count towards a
// limit.
TEST_F(AutoType, FollowsTheRankWithTheLeastRoom) {
  NodeArena arena(arena_plan(toy_spec(), ranks().node_size()), node_ranks(ranks()));
  arena.load(toy_source(), 1, {});
  const auto device = make_cpu_device();
  const Options options{.type = StrategyKind::Auto, .vram_limit = 1};
  const std::size_t least = make_plan(toy_spec(), options, 1).need.bytes;
  for (const bool tight : {false, true}) {
    DeviceAccount account;
    StageSetup setup{.device = device.get(), .account = &account, .peers = world_peers(ranks())};
    const bool last = ranks().rank() == ranks().size() - 1;
    if (tight && last) account.take(Category::Resident, limit_bytes(1) - least);
    const auto stage = testing::stage_over(arena, options, setup);
    const Report report = stage->report();
    EXPECT_EQ(report.type, tight ? StrategyKind::Sequential : StrategyKind::None);
    EXPECT_NE(report.type_why, "");
    EXPECT_TRUE(same_bits(toy_forward(*stage), testing::toy_reference({})));
  }
}

// Ranks whose forecasts differ choose by that of the first.
TEST_F(AutoType, FollowsTheForecastOfTheFirstRank) {
  const Options options{.type = StrategyKind::Auto};
  NodeArena arena(arena_plan(toy_spec(), ranks().node_size()), node_ranks(ranks()));
  arena.load(toy_source(), 1, {});
  const auto device = make_cpu_device();
  const std::size_t ways = make_plan(toy_spec(), options, 1).ways.size();
  for (const bool last : {false, true}) {
    DeviceAccount account;
    StageSetup setup{.device = device.get(), .account = &account, .peers = world_peers(ranks())};
    setup.forecast.step_s.assign(ways, 0.3);
    const bool picks_last = last == (ranks().rank() == 0);
    (picks_last ? setup.forecast.step_s.back() : setup.forecast.step_s.front()) = 0.1;
    const auto stage = testing::stage_over(arena, options, setup);
    EXPECT_EQ(stage->report().type, last ? StrategyKind::Sequential : StrategyKind::None);
    EXPECT_EQ(stage->report().predicted_step_s, 0.1);
    EXPECT_TRUE(same_bits(toy_forward(*stage), testing::toy_reference({})));
  }
}

class ArenaShare : public MpiTest {};

// The system's own figure: the ranks' proportional shares of the mapping add up to one copy.
TEST_F(ArenaShare, TheNodeHoldsOneCopy) {
  const ToyShape shape{.layers = 7, .dim = 512};
  NodeArena arena(arena_plan(toy_spec(shape), 1), node_ranks(ranks()));
  arena.load(toy_source(), 1, {});
  volatile std::byte sink{};
  for (std::size_t i = 0; i < arena.bytes(); i += 4096) sink = arena.data()[i];  // map every page
  ranks().node().barrier();
  const std::size_t mine = mapped_pss(arena.data(), arena.bytes());
  std::size_t sum = 0;
  for (const std::string& each : ranks().node().all_gather(std::to_string(mine))) sum += std::stoull(each);
  EXPECT_LE(static_cast<double>(sum), 1.03 * static_cast<double>(arena.bytes()));
  EXPECT_GE(static_cast<double>(sum), 0.97 * static_cast<double>(arena.bytes()));
  static_cast<void>(sink);
}

}  // namespace
}  // namespace ferry::offload
