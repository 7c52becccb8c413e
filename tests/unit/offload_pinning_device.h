// A device that remembers what is page-locked.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "base/device.h"
#include "base/error.h"

namespace ferry::testing {

// A CPU that calls itself a GPU, so that memory is page-locked.
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

}  // namespace ferry::testing
