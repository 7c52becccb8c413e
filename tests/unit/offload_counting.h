// A device that counts what a forward must not do.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/device.h"

namespace ferry::testing {

struct DeviceCounts {
  int allocations = 0;
  int frees = 0;
  int events = 0;
  int streams = 0;
  int host_waits = 0;  // synchronize() of a stream or an event
  int total() const { return allocations + frees + events + streams + host_waits; }
};

// Passes everything on to `device`, which outlives it; counts.  Its streams take its own events and those of
// `device`; streams of `device` do not take its events, so a stream that others made goes through counted().
// What the CPU's compute stream waits for is no wait of the host: that stream is the calling thread.
class CountingDevice final : public Device {
 public:
  explicit CountingDevice(Device& device);
  DeviceCounts counts;
  // `stream`, which outlives this, with what is asked of it counted.
  Stream& counted(Stream& stream);

  DeviceType type() const override { return device_.type(); }
  int index() const override { return device_.index(); }
  const std::string& name() const override { return device_.name(); }
  Stream& compute() override { return *compute_; }
  std::unique_ptr<Stream> make_stream(const std::string& name, Priority priority) override;
  std::unique_ptr<Event> make_event(EventKind kind) override;
  DeviceMemory allocate(std::size_t bytes) override;
  void pin(void* data, std::size_t bytes) override { device_.pin(data, bytes); }
  void unpin(void* data) noexcept override { device_.unpin(data); }
  MemoryUse memory() const override { return device_.memory(); }

 private:
  Device& device_;
  std::unique_ptr<Stream> compute_;
  std::vector<std::unique_ptr<Stream>> of_others_;
};

}  // namespace ferry::testing
