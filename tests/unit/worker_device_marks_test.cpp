// Ticks come when the device has passed a block, not when the host has queued it.
#include <gtest/gtest.h>

#include <future>
#include <memory>
#include <optional>
#include <string>

#include "base/cpu/event.h"
#include "base/cpu/queue_stream.h"
#include "worker/stages/device_marks.h"

namespace ferry::worker {
namespace {

// A device that computes behind the host's back, on a thread.
class LateDevice final : public Device {
 public:
  DeviceType type() const override { return DeviceType::Cuda; }
  int index() const override { return 0; }
  const std::string& name() const override { return cpu_->name(); }
  Stream& compute() override { return compute_; }
  std::unique_ptr<Stream> make_stream(const std::string& name, Priority) override {
    return std::make_unique<QueueStream>(name);
  }
  std::unique_ptr<Event> make_event(EventKind kind) override {
    ++events;
    return cpu_->make_event(kind);
  }
  DeviceMemory allocate(std::size_t bytes) override { return cpu_->allocate(bytes); }
  void pin(void*, std::size_t) override {}
  void unpin(void*) noexcept override {}
  MemoryUse memory() const override { return cpu_->memory(); }

  int events = 0;

 private:
  std::unique_ptr<Device> cpu_ = make_cpu_device();
  QueueStream compute_{"compute"};
};

TEST(DeviceMarks, TickOnceTheDeviceHasPassedThem) {
  using parallel::Stage;
  using parallel::Where;
  parallel::Ticks ticks(parallel::Board::alone(0), 0, std::nullopt);
  LateDevice device;
  DeviceMarks marks(device, ticks);
  ticks.at({Stage::Denoise, 2, 0});
  for (int round = 0; round < 2; ++round) {
    std::promise<void> first;
    std::promise<void> rest;
    device.compute().call([&] { first.get_future().wait(); });
    marks.put({Stage::Denoise, 1, 4});
    marks.put({Stage::Denoise, 1, 5});
    const auto passed = std::make_unique<CpuEvent>(EventKind::Order);
    device.compute().record(*passed);
    device.compute().call([&] { rest.get_future().wait(); });
    marks.put({Stage::Denoise, 1, 6});
    EXPECT_FALSE(marks.look());
    first.set_value();
    passed->synchronize();
    EXPECT_TRUE(marks.look());
    EXPECT_EQ(ticks.where(), (Where{Stage::Denoise, 1, 5}));
    EXPECT_FALSE(marks.look());
    rest.set_value();
    device.compute().synchronize();
    EXPECT_TRUE(marks.look());
    EXPECT_EQ(ticks.where(), (Where{Stage::Denoise, 1, 6}));
  }
  EXPECT_EQ(device.events, 3);  // used again in the second round
}

}  // namespace
}  // namespace ferry::worker
