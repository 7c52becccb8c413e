#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "offload/stage.h"
#include "tests/unit/offload_toy.h"

namespace ferry::offload {
namespace {

using testing::same_bits;
using testing::toy_arena;
using testing::toy_forward;
using testing::toy_reference;

struct Rig {
  std::unique_ptr<Device> device = make_cpu_device();
  DeviceAccount account;
  StageSetup setup{.device = device.get(), .account = &account, .peers = {}};
};

TEST(StageNone, UsesTheArenaInPlaceOnTheCpu) {
  Rig rig;
  const auto arena = toy_arena({});
  const auto stage = testing::stage_over(*arena, {.type = StrategyKind::None}, rig.setup);
  EXPECT_TRUE(same_bits(toy_forward(*stage, 2), toy_reference({}, 2)));
  const model::PassScope pass(*stage, {});
  const void* data = stage->acquire({model::ModuleId::kTail, 0})[0].data_ptr();
  EXPECT_EQ(data, arena->at(arena->layout().tail.blob));
  EXPECT_EQ(stage->report().copied_once_bytes, 0U);
}

TEST(StageModel, CopiesInForAStageAndDropsAfterIt) {
  Rig rig;
  const auto arena = toy_arena({});
  const auto stage = testing::stage_over(*arena, {.type = StrategyKind::Model}, rig.setup);
  EXPECT_EQ(rig.account.now(), 0U);
  stage->prepare();
  const ArenaLayout& layout = arena->layout();
  EXPECT_EQ(rig.account.now(Category::Resident),
            layout.head.blob.bytes + layout.block_bytes() + layout.tail.blob.bytes);
  const std::uint64_t copied = stage->report().copied_once_bytes;
  EXPECT_TRUE(same_bits(toy_forward(*stage), toy_reference({})));
  EXPECT_EQ(stage->report().copied_once_bytes, copied);
  stage->finish();
  EXPECT_EQ(rig.account.now(), 0U);
  EXPECT_TRUE(same_bits(toy_forward(*stage), toy_reference({})));
  EXPECT_EQ(stage->report().copied_once_bytes, 2 * copied);
}

TEST(StageModel, NeverWritesToTheHostCopy) {
  Rig rig;
  const auto arena = toy_arena({});
  const std::vector<std::byte> before(arena->data(), arena->data() + arena->bytes());
  const auto stage = testing::stage_over(*arena, {.type = StrategyKind::Model}, rig.setup);
  toy_forward(*stage);
  stage->finish();
  EXPECT_TRUE(std::equal(before.begin(), before.end(), arena->data()));
}

TEST(PassOrder, RefusesAnOrderThatStrategiesCannotRelyOn) {
  PassOrder order("toy", 3);
  EXPECT_THROW(order.acquire(0), std::invalid_argument);
  order.begin({});
  EXPECT_THROW(order.acquire(1), std::invalid_argument);
  order.acquire(0);
  order.acquire(1);
  EXPECT_THROW(order.acquire(2), std::invalid_argument) << "block 0 is still held";
  order.release(0);
  EXPECT_THROW(order.release(0), std::invalid_argument);
  EXPECT_THROW(order.check_module({0, 0}), std::invalid_argument);
  EXPECT_NO_THROW(order.check_module({1, 0}));
  order.release(1);
  EXPECT_THROW(order.end(), std::invalid_argument) << "block 2 was never acquired";
  EXPECT_FALSE(order.running());
  order.begin({});
  EXPECT_NO_THROW(order.end()) << "a pass without blocks";
}

TEST(StageLora, AnUnknownNameIsRefused) {
  Rig rig;
  const auto arena = toy_arena({});
  const auto stage = testing::stage_over(*arena, {.type = StrategyKind::None}, rig.setup);
  EXPECT_THROW(stage->set_loras({{"blocks.0.nothing", {}}}), std::invalid_argument);
  EXPECT_THROW(stage->set_loras({{"blocks.0.norm", {}}}), std::invalid_argument);
}

TEST(DeviceAccount, KnowsWhatThePeakWasMadeOf) {
  DeviceAccount account;
  account.take(Category::Resident, 100);
  account.take(Category::Slots, 50);
  account.give(Category::Resident, 100);
  account.take(Category::Keep, 80);
  EXPECT_EQ(account.now(), 130U);
  EXPECT_EQ(account.peak(), 150U);
  EXPECT_EQ(account.at_peak()[static_cast<std::size_t>(Category::Keep)], 0U);
  EXPECT_EQ(account.at_peak()[static_cast<std::size_t>(Category::Slots)], 50U);
  account.reset_peaks();
  EXPECT_EQ(account.peak(), 130U);
}

TEST(DeviceAccount, AsksForMemoryBackUntilThereIsRoomUnderTheLimit) {
  DeviceAccount account;
  int owner = 0;
  account.take(Category::Keep, 100);
  account.add_reclaim(&owner, [&](std::size_t bytes) {
    account.give(Category::Keep, bytes);
    return bytes;
  });
  account.make_room(1000);
  EXPECT_EQ(account.now(), 100U) << "without a limit nobody gives anything";
  account.add_limit(&owner, 120);
  account.make_room(20);
  EXPECT_EQ(account.now(), 100U);
  account.make_room(50);
  EXPECT_EQ(account.now(), 70U);
  account.remove_limit(&owner);
  account.make_room(1000);
  EXPECT_EQ(account.now(), 70U);
}

}  // namespace
}  // namespace ferry::offload
