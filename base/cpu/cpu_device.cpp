#include <fmt/format.h>
#include <sys/mman.h>

#include <cstdlib>

#include "base/cpu/caller_stream.h"
#include "base/cpu/event.h"
#include "base/cpu/queue_stream.h"
#include "base/device.h"
#include "base/error.h"
#include "base/host/memory_use.h"
#include "base/host/pages.h"

namespace ferry {

namespace {

constexpr std::size_t kAlignment = 256;

constexpr std::size_t round_up(std::size_t bytes, std::size_t to) { return (bytes + to - 1) / to * to; }

class CpuDevice final : public Device {
 public:
  DeviceType type() const override { return DeviceType::Cpu; }
  int index() const override { return 0; }
  const std::string& name() const override { return name_; }
  Stream& compute() override { return compute_; }
  std::unique_ptr<Stream> make_stream(const std::string& name, Priority) override {
    return std::make_unique<QueueStream>(name);
  }
  std::unique_ptr<Event> make_event(EventKind kind) override { return std::make_unique<CpuEvent>(kind); }
  DeviceMemory allocate(std::size_t bytes) override;
  void pin(void*, std::size_t) override {}
  void unpin(void*) noexcept override {}
  MemoryUse memory() const override;

 private:
  std::string name_ = "cpu";
  CallerStream compute_;
};

DeviceMemory CpuDevice::allocate(std::size_t bytes) {
  if (bytes == 0) return {};
  // The kernel overcommits, so check for real memory here.
  const MemoryUse use = memory();
  const bool large = bytes >= kHugePage;
  const std::size_t alignment = large ? kHugePage : kAlignment;
  void* data = bytes <= use.free_bytes ? std::aligned_alloc(alignment, round_up(bytes, alignment)) : nullptr;
  if (data == nullptr) {
    throw OutOfMemory(
        fmt::format("cannot allocate {} bytes of host memory: {} bytes are free", bytes, use.free_bytes));
  }
  if (large) ::madvise(data, bytes, MADV_HUGEPAGE);
  return {data, bytes, [](void* memory) { std::free(memory); }};
}

MemoryUse CpuDevice::memory() const {
  const HostMemory host = host_memory();
  return {.total_bytes = host.total_bytes, .free_bytes = host.available_bytes};
}

}  // namespace

std::unique_ptr<Device> make_cpu_device() { return std::make_unique<CpuDevice>(); }

}  // namespace ferry
