// A device that knows how much memory was allocated through it.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <string>
#include <utility>

#include "base/device.h"

namespace ferry::worker {

class CountedDevice final : public Device {
 public:
  explicit CountedDevice(std::unique_ptr<Device> device) : device_(std::move(device)) {}

  // Bytes of DeviceMemory that exist: weights, and buffers of exchanges and flags.  LibTorch's tensors are
  // not among them.  Any thread.
  std::size_t allocated_bytes() const { return *allocated_; }

  DeviceType type() const override { return device_->type(); }
  int index() const override { return device_->index(); }
  const std::string& name() const override { return device_->name(); }
  Stream& compute() override { return device_->compute(); }
  std::unique_ptr<Stream> make_stream(const std::string& name, Priority priority) override {
    return device_->make_stream(name, priority);
  }
  std::unique_ptr<Event> make_event(EventKind kind) override { return device_->make_event(kind); }
  DeviceMemory allocate(std::size_t bytes) override;
  void pin(void* data, std::size_t bytes) override { device_->pin(data, bytes); }
  void unpin(void* data) noexcept override { device_->unpin(data); }
  MemoryUse memory() const override { return device_->memory(); }

 private:
  std::unique_ptr<Device> device_;
  std::shared_ptr<std::atomic<std::size_t>> allocated_ = std::make_shared<std::atomic<std::size_t>>(0);
};

}  // namespace ferry::worker
