// Makes the CPU of a program a device with memory of its own, as a GPU is: FERRY_TEST_DEVICE_MEMORY=BYTES, or
// BYTES:RANK for one rank alone.
//
// Weights are copied there, under `none` too, and LibTorch's tensors are in it.  The linker puts the __wrap_
// functions in the place of those that they are named for (tests/e2e/worker.cmake).
#include <c10/core/CPUAllocator.h>
#include <c10/util/Exception.h>
#include <fmt/format.h>

#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <memory>
#include <string>

#include "base/device.h"
#include "base/error.h"
#include "offload/whole_model.h"

namespace {

using ferry::Device;
using ferry::DeviceMemory;

std::size_t limit_of_this_rank() {
  const char* limit = std::getenv("FERRY_TEST_DEVICE_MEMORY");
  const char* rank = std::getenv("OMPI_COMM_WORLD_RANK");
  const std::string text = limit == nullptr ? "" : limit;
  const std::size_t colon = text.find(':');
  const bool other = colon != std::string::npos && text.substr(colon + 1) != (rank == nullptr ? "0" : rank);
  return text.empty() || other ? std::numeric_limits<std::size_t>::max() : std::stoull(text);
}

// The memory: what is used, by both ways in.
class Memory {
 public:
  bool take(std::size_t bytes) {
    used_ += bytes;
    if (used_ <= limit_) return true;
    used_ -= bytes;
    return false;
  }
  void give(std::size_t bytes) { used_ -= bytes; }
  bool limited() const { return limit_ != std::numeric_limits<std::size_t>::max(); }
  ferry::MemoryUse use() const { return {.total_bytes = limit_, .free_bytes = limit_ - used_}; }

 private:
  const std::size_t limit_ = limit_of_this_rank();
  std::atomic<std::size_t> used_ = 0;
};

Memory& pool() {
  static Memory one;
  return one;
}

class LimitedDevice final : public Device {
 public:
  explicit LimitedDevice(std::unique_ptr<Device> device) : device_(std::move(device)) {}
  ferry::DeviceType type() const override { return device_->type(); }
  int index() const override { return device_->index(); }
  const std::string& name() const override { return device_->name(); }
  ferry::Stream& compute() override { return device_->compute(); }
  std::unique_ptr<ferry::Stream> make_stream(const std::string& name, ferry::Priority priority) override {
    return device_->make_stream(name, priority);
  }
  std::unique_ptr<ferry::Event> make_event(ferry::EventKind kind) override {
    return device_->make_event(kind);
  }
  DeviceMemory allocate(std::size_t bytes) override {
    if (!pool().take(bytes)) {
      throw ferry::OutOfMemory(fmt::format("cannot allocate {} bytes on {}: {} bytes are free", bytes, name(),
                                           pool().use().free_bytes));
    }
    auto own = std::make_shared<DeviceMemory>(device_->allocate(bytes));
    if (own->data() == nullptr) return {};
    return {own->data(), bytes, [own, bytes](void*) {
              *own = {};
              pool().give(bytes);
            }};
  }
  void pin(void*, std::size_t) override {}
  void unpin(void*) noexcept override {}
  ferry::MemoryUse memory() const override { return pool().use(); }

 private:
  std::unique_ptr<Device> device_;
};

// LibTorch's; fails as that of a GPU does.
class LimitedAllocator final : public c10::Allocator {
 public:
  c10::DataPtr allocate(std::size_t bytes) override {
    if (!pool().take(bytes)) {
      throw c10::OutOfMemoryError(
          {__func__, __FILE__, __LINE__},
          fmt::format("CUDA out of memory. Tried to allocate {} bytes. GPU 0 has a total capacity of ...",
                      bytes));
    }
    auto* begin = static_cast<std::byte*>(c10::GetDefaultCPUAllocator()->raw_allocate(bytes + kHeader));
    std::memcpy(begin, &bytes, sizeof(bytes));
    return {begin + kHeader, begin + kHeader, &release, c10::Device(c10::kCPU)};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &release; }
  void copy_data(void* dest, const void* src, std::size_t count) const override {
    std::memcpy(dest, src, count);
  }

 private:
  static constexpr std::size_t kHeader = 64;  // has the bytes; tensors are aligned to it
  static void release(void* data) {
    std::byte* begin = static_cast<std::byte*>(data) - kHeader;
    std::size_t bytes = 0;
    std::memcpy(&bytes, begin, sizeof(bytes));
    c10::GetDefaultCPUAllocator()->raw_deallocate(begin);
    pool().give(bytes);
  }
};

}  // namespace

extern "C" {

// ferry::make_cpu_device()
std::unique_ptr<Device> __real__ZN5ferry15make_cpu_deviceEv();
std::unique_ptr<Device> __wrap__ZN5ferry15make_cpu_deviceEv() {
  static LimitedAllocator allocator;
  if (!pool().limited()) return __real__ZN5ferry15make_cpu_deviceEv();
  c10::SetCPUAllocator(&allocator, std::numeric_limits<std::uint8_t>::max());
  return std::make_unique<LimitedDevice>(__real__ZN5ferry15make_cpu_deviceEv());
}

// ferry::offload::make_none()
std::unique_ptr<ferry::offload::Strategy>
__wrap__ZN5ferry7offload9make_noneERNS0_9NodeArenaERKNS0_9StagePlanERKNS0_10StageSetupE(
    ferry::offload::NodeArena& arena, const ferry::offload::StagePlan& plan,
    const ferry::offload::StageSetup& setup) {
  return ferry::offload::make_whole_model(arena, plan, setup, true);
}

}  // extern "C"
