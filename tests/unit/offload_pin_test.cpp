#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <latch>
#include <map>
#include <mutex>
#include <numeric>
#include <set>
#include <thread>

#include "base/error.h"
#include "offload/stage.h"
#include "tests/unit/offload_toy.h"

namespace ferry::offload {
namespace {

// A CPU that calls itself a GPU, so that memory is page-locked; remembers what is.
class PinningDevice final : public Device {
 public:
  std::map<std::uintptr_t, std::size_t> locked;  // bytes by address
  bool refuses = false;
  std::function<void(const std::byte* data, std::size_t bytes)> on_pin;

  DeviceType type() const override { return DeviceType::Cuda; }
  int index() const override { return 0; }
  const std::string& name() const override { return cpu_->name(); }
  Stream& compute() override { return cpu_->compute(); }
  std::unique_ptr<Stream> make_stream(const std::string& name, Priority priority) override {
    return cpu_->make_stream(name, priority);
  }
  std::unique_ptr<Event> make_event(EventKind kind) override { return cpu_->make_event(kind); }
  DeviceMemory allocate(std::size_t bytes) override { return cpu_->allocate(bytes); }
  void pin(void* data, std::size_t bytes) override {
    if (on_pin) on_pin(static_cast<std::byte*>(data), bytes);
    if (refuses && !locked.empty()) throw Error("no more pages");
    locked[reinterpret_cast<std::uintptr_t>(data)] = bytes;
  }
  void unpin(void* data) noexcept override { locked.erase(reinterpret_cast<std::uintptr_t>(data)); }
  MemoryUse memory() const override { return cpu_->memory(); }

 private:
  std::unique_ptr<Device> cpu_ = make_cpu_device();
};

struct Rig {
  PinningDevice device;
  DeviceAccount account;
  std::unique_ptr<NodeArena> arena = testing::toy_arena({});
  // Lazy: views on a GPU that is none cannot be made.
  std::unique_ptr<StageWeights> stage(bool pin) {
    return make_stage(*arena, {.type = Type::Async, .pin_cpu_memory = pin, .lazy_gpu_cache = true},
                      {.device = &device, .account = &account, .peers = {}});
  }
  bool is_locked(const Blob& blob) const {
    const auto found = device.locked.find(reinterpret_cast<std::uintptr_t>(arena->at(blob)));
    return found != device.locked.end() && found->second >= blob.bytes;
  }
};

TEST(PinCpuMemory, EveryBlockIsPageLockedWhenItIsOn) {
  Rig rig;
  EXPECT_TRUE(rig.stage(true)->report().pinned);
  for (const BlockPlace& block : rig.arena->layout().blocks) EXPECT_TRUE(rig.is_locked(block.blob));
  EXPECT_TRUE(rig.is_locked(rig.arena->layout().head.blob));
  EXPECT_TRUE(rig.is_locked(rig.arena->layout().tail.blob));
  rig.arena.reset();
  EXPECT_TRUE(rig.device.locked.empty()) << "the arena unlocks what it locked";
}

TEST(PinCpuMemory, NothingIsPageLockedWhenItIsOff) {
  Rig rig;
  EXPECT_FALSE(rig.stage(false)->report().pinned);
  EXPECT_TRUE(rig.device.locked.empty());
}

TEST(PinCpuMemory, ARefusalLeavesNothingHalfLocked) {
  Rig rig;
  rig.device.refuses = true;
  EXPECT_FALSE(rig.stage(true)->report().pinned);
  EXPECT_TRUE(rig.device.locked.empty());
}

TEST(PinCpuMemory, OnlyRanksThatCopyPageLock) {
  testing::run_ranks(3, [](const Peers& peers) {
    PinningDevice device;
    NodeArena arena(arena_plan(testing::toy_spec(), {}, 3), {.peers = peers, .make_window = {}});
    EXPECT_TRUE(arena.pin(device, peers.rank == 0));
    EXPECT_EQ(device.locked.empty(), peers.rank != 0) << peers.rank;
  });
}

TEST(PinCpuMemory, WhenOneRankIsRefusedAllGoWithout) {
  testing::run_ranks(3, [](const Peers& peers) {
    PinningDevice device;
    device.refuses = peers.rank == 1;
    NodeArena arena(arena_plan(testing::toy_spec(), {}, 3), {.peers = peers, .make_window = {}});
    EXPECT_FALSE(arena.pin(device));
    EXPECT_FALSE(arena.pinned());
    EXPECT_TRUE(device.locked.empty()) << peers.rank;
  });
}

TEST(PinParts, HoldEveryBlobThatIsCopiedOnceAndAreAboutEqual) {
  const ArenaLayout layout = arena_layout(testing::toy_spec({.layers = 40}), 4);
  for (const int ranks : {1, 2, 3, 4, 8}) {
    std::vector<std::size_t> offsets;
    std::size_t most = 0;
    std::size_t total = 0;
    for (const PinPart& part : pin_parts(layout, ranks)) {
      std::size_t bytes = 0;
      for (const Blob& blob : part) {
        offsets.push_back(blob.offset);
        bytes += blob.bytes;
      }
      most = std::max(most, bytes);
      total += bytes;
    }
    EXPECT_TRUE(std::is_sorted(offsets.begin(), offsets.end()));
    EXPECT_EQ(std::set(offsets.begin(), offsets.end()).size(), 42U) << ranks;
    EXPECT_EQ(offsets.size(), 42U) << ranks;
    EXPECT_LE(most, total / static_cast<std::size_t>(ranks) + layout.largest_block()) << ranks;
  }
}

TEST(PinParts, MayBeEmptyWhereThereAreFewBlobs) {
  const ArenaLayout layout = arena_layout(testing::toy_spec({.layers = 1}), 1);
  const std::vector<PinPart> parts = pin_parts(layout, 8);
  EXPECT_EQ(parts.size(), 8U);
  EXPECT_EQ(std::accumulate(parts.begin(), parts.end(), std::size_t{0},
                            [](std::size_t sum, const PinPart& part) { return sum + part.size(); }),
            3U);
}

// Of all ranks: what each has page-locked, by offset in the arena, in order, and what is being locked now.
struct Board {
  std::mutex mutex;
  std::array<std::vector<std::size_t>, 4> done;
  std::set<std::size_t> now;
  int twice = 0;  // a rank began what another was at
};

// Rank 0 is slow, so that the others come to its part while it is still there.
TEST(PinInRotation, EachRankBeginsWithItsOwnPartAndNoTwoAreAtTheSamePages) {
  constexpr int kRanks = 4;
  Board board;
  std::latch all_at_work(kRanks);
  testing::run_ranks(kRanks, [&](const Peers& peers) {
    PinningDevice device;
    NodeArena arena(arena_plan(testing::toy_spec({.layers = 9}), {}, kRanks),
                    {.peers = peers, .make_window = {}});
    std::vector<std::size_t>& mine = board.done[static_cast<std::size_t>(peers.rank)];
    device.on_pin = [&](const std::byte* data, std::size_t) {
      const auto offset = static_cast<std::size_t>(data - arena.data());
      {
        const std::lock_guard lock(board.mutex);
        if (!board.now.insert(offset).second) ++board.twice;
      }
      // Nobody goes on before all have begun: ranks that took turns would never meet.
      if (mine.empty()) all_at_work.arrive_and_wait();
      std::this_thread::sleep_for(std::chrono::milliseconds(peers.rank == 0 ? 5 : 1));
      const std::lock_guard lock(board.mutex);
      board.now.erase(offset);
      mine.push_back(offset);
    };
    EXPECT_TRUE(arena.pin(device));
    EXPECT_EQ(device.locked.size(), 11U);
    std::vector<std::size_t> expected;
    const std::vector<PinPart> parts = pin_parts(arena.layout(), kRanks);
    for (int turn = 0; turn < kRanks; ++turn) {
      for (const Blob& blob : parts[static_cast<std::size_t>((turn + peers.rank) % kRanks)]) {
        expected.push_back(blob.offset);
      }
    }
    EXPECT_EQ(mine, expected) << "rank " << peers.rank;
    EXPECT_GT(arena.pin_thread_s(), 0);
  });
  EXPECT_EQ(board.twice, 0);
}

TEST(PinInRotation, ARankThatStaysAtItsPartIsNotWaitedForForEver) {
  PinningDevice device;
  const auto arena = testing::toy_arena({});
  std::array<std::byte, PartLocks::bytes(2)> locks{};
  EXPECT_TRUE(PartLocks(locks.data()).take(1, [] { return false; }));
  Pinning pinning({.device = &device,
                   .arena = arena->data(),
                   .parts = pin_parts(arena->layout(), 2),
                   .locks = locks.data(),
                   .rank = 0,
                   .patience_s = 0.05});
  EXPECT_EQ(pinning.wait(), "another rank has not finished part 1");
  EXPECT_FALSE(device.locked.empty());
  pinning.release();
  EXPECT_TRUE(device.locked.empty());
}

// The source holds the load up until all is page-locked.
TEST(BeginLoad, TheArenaIsPageLockedWhileItIsFilled) {
  PinningDevice device;
  std::latch locked(9);
  device.on_pin = [&](const std::byte*, std::size_t) { locked.count_down(); };
  NodeArena arena(arena_plan(testing::toy_spec(), {}, 1), {});
  const TensorSource source = [&](const model::TensorSpec& spec, std::byte* tensor, std::int64_t begin,
                                  std::int64_t end) {
    locked.wait();
    testing::toy_source()(spec, tensor, begin, end);
  };
  arena.begin_load(source, {.threads = 2, .progress = {}, .pin_for = &device});
  arena.finish_load();
  EXPECT_TRUE(arena.pin(device));
  EXPECT_EQ(device.locked.size(), 9U);
}

TEST(BeginLoad, AnArenaThatDiesStopsItsLoad) {
  std::atomic<int> read = 0;
  PinningDevice device;
  {
    std::latch begun(1);
    NodeArena arena(arena_plan(testing::toy_spec(), {}, 1), {});
    const TensorSource source = [&](const model::TensorSpec&, std::byte*, std::int64_t, std::int64_t) {
      if (++read == 1) begun.count_down();
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    };
    arena.begin_load(source, {.threads = 1, .progress = {}, .pin_for = &device});
    begun.wait();
  }
  EXPECT_LT(read, 10);
  EXPECT_TRUE(device.locked.empty());
}

}  // namespace
}  // namespace ferry::offload
