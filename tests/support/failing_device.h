// A device whose streams fail when a test says so.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "base/device.h"

namespace ferry::testing {

// The CPU, whose streams call `fault` with themselves at each operation first: what that throws is the
// operation's failure, as a CUDA call's is, and nothing is queued.  synchronize() does so after its wait, so
// that nothing is under way where it fails.  Events never fail.
class FailingDevice final : public Device {
 public:
  std::function<void(const Stream& stream)> fault;

  DeviceType type() const override { return DeviceType::Cpu; }
  int index() const override { return 0; }
  const std::string& name() const override { return cpu_->name(); }
  Stream& compute() override { return compute_; }
  std::unique_ptr<Stream> make_stream(const std::string& name, Priority priority) override {
    return std::make_unique<FailingStream>(*this, cpu_->make_stream(name, priority));
  }
  std::unique_ptr<Event> make_event(EventKind kind) override { return cpu_->make_event(kind); }
  DeviceMemory allocate(std::size_t bytes) override { return cpu_->allocate(bytes); }
  void pin(void*, std::size_t) override {}
  void unpin(void*) noexcept override {}
  MemoryUse memory() const override { return cpu_->memory(); }

 private:
  class FailingStream final : public Stream {
   public:
    FailingStream(FailingDevice& device, Stream& inner) : device_(device), inner_(inner) {}
    FailingStream(FailingDevice& device, std::unique_ptr<Stream> owned)
        : device_(device), owned_(std::move(owned)), inner_(*owned_) {}
    const std::string& name() const override { return inner_.name(); }
    void record(Event& event) override { asked().record(event); }
    void wait(const Event& event) override { asked().wait(event); }
    void copy(void* dst, const void* src, std::size_t bytes) override { asked().copy(dst, src, bytes); }
    void fill(void* dst, std::uint8_t byte, std::size_t bytes) override { asked().fill(dst, byte, bytes); }
    void cast(void* dst, DType dst_type, const void* src, DType src_type, std::size_t count) override {
      asked().cast(dst, dst_type, src, src_type, count);
    }
    void call(std::function<void()> work) override { asked().call(std::move(work)); }
    void synchronize() override {
      inner_.synchronize();
      asked();
    }
    void* native() const override { return inner_.native(); }

   private:
    Stream& asked() {
      if (device_.fault) device_.fault(*this);
      return inner_;
    }
    FailingDevice& device_;
    std::unique_ptr<Stream> owned_;
    Stream& inner_;
  };

  std::unique_ptr<Device> cpu_ = make_cpu_device();
  FailingStream compute_{*this, cpu_->compute()};
};

}  // namespace ferry::testing
