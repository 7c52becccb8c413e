#include "tests/unit/offload_counting.h"

#include <utility>

namespace ferry::testing {

namespace {

class CountingEvent final : public Event {
 public:
  CountingEvent(std::unique_ptr<Event> inner, DeviceCounts& counts)
      : inner_(std::move(inner)), counts_(counts) {}
  Event& inner() const { return *inner_; }
  bool done() const override { return inner_->done(); }
  void synchronize() const override {
    ++counts_.host_waits;
    inner_->synchronize();
  }
  double ms_since(const Event& begin) const override;
  void* native() const override { return inner_->native(); }

 private:
  std::unique_ptr<Event> inner_;
  DeviceCounts& counts_;
};

// The device's own event: that inside a counting one, else the event itself.
const Event& plain(const Event& event) {
  const auto* counting = dynamic_cast<const CountingEvent*>(&event);
  return counting == nullptr ? event : counting->inner();
}

Event& plain(Event& event) { return const_cast<Event&>(plain(std::as_const(event))); }

double CountingEvent::ms_since(const Event& begin) const { return inner_->ms_since(plain(begin)); }

class CountingStream final : public Stream {
 public:
  CountingStream(Stream& inner, DeviceCounts& counts) : inner_(inner), counts_(counts) {}
  CountingStream(std::unique_ptr<Stream> owned, DeviceCounts& counts)
      : owned_(std::move(owned)), inner_(*owned_), counts_(counts) {}
  const std::string& name() const override { return inner_.name(); }
  void record(Event& event) override { inner_.record(plain(event)); }
  void wait(const Event& event) override { inner_.wait(plain(event)); }
  void copy(void* dst, const void* src, std::size_t bytes) override { inner_.copy(dst, src, bytes); }
  void fill(void* dst, std::uint8_t byte, std::size_t bytes) override { inner_.fill(dst, byte, bytes); }
  void cast(void* dst, DType dst_type, const void* src, DType src_type, std::size_t count) override {
    inner_.cast(dst, dst_type, src, src_type, count);
  }
  void call(std::function<void()> work) override { inner_.call(std::move(work)); }
  void synchronize() override {
    ++counts_.host_waits;
    inner_.synchronize();
  }
  void* native() const override { return inner_.native(); }

 private:
  std::unique_ptr<Stream> owned_;
  Stream& inner_;
  DeviceCounts& counts_;
};

}  // namespace

CountingDevice::CountingDevice(Device& device)
    : device_(device), compute_(std::make_unique<CountingStream>(device.compute(), counts)) {}

std::unique_ptr<Stream> CountingDevice::make_stream(const std::string& name, Priority priority) {
  ++counts.streams;
  return std::make_unique<CountingStream>(device_.make_stream(name, priority), counts);
}

Stream& CountingDevice::counted(Stream& stream) {
  of_others_.push_back(std::make_unique<CountingStream>(stream, counts));
  return *of_others_.back();
}

std::unique_ptr<Event> CountingDevice::make_event(EventKind kind) {
  ++counts.events;
  return std::make_unique<CountingEvent>(device_.make_event(kind), counts);
}

DeviceMemory CountingDevice::allocate(std::size_t bytes) {
  ++counts.allocations;
  auto inner = std::make_shared<DeviceMemory>(device_.allocate(bytes));
  return {inner->data(), bytes, [this, inner](void*) mutable {
            ++counts.frees;
            *inner = DeviceMemory();
          }};
}

}  // namespace ferry::testing
