#include <gtest/gtest.h>

#include <cstdint>
#include <map>

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

}  // namespace
}  // namespace ferry::offload
