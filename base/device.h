// Devices, streams, events and copies, with the meaning they have in CUDA.
//
// One interface, two implementations, chosen when the program runs.  On the CPU the compute stream is
// the calling thread (LibTorch works there at once, so a wait blocks it and a record fires); every other
// stream is one thread with a queue, which does copies, casts, pacing and host calls only, never ATen.
// On CUDA a Stream wraps a cudaStream_t and an Event a cudaEvent_t.
//
// Nothing here blocks the host unless it says so.  A failed operation of a queue is kept and thrown by the
// next wait() or synchronize() that meets it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "base/dtype.h"

namespace ferry {

enum class DeviceType : std::uint8_t { Cpu, Cuda };
enum class Priority : std::uint8_t { Normal, High };
enum class EventKind : std::uint8_t { Order, Timed };

// A point in a stream.  Created once, recorded many times.
class Event {
 public:
  virtual ~Event() = default;
  // True when the latest record has happened, or nothing was ever recorded.
  virtual bool done() const = 0;
  // Blocks the host until done().
  virtual void synchronize() const = 0;
  // Milliseconds from the latest record of `begin` to the latest record of this one.  Both Timed, both
  // done, same device.  Throws std::invalid_argument otherwise.
  virtual double ms_since(const Event& begin) const = 0;
  // cudaEvent_t, or nullptr on the CPU.
  virtual void* native() const = 0;
};

// An in-order queue of work.
class Stream {
 public:
  virtual ~Stream() = default;
  virtual const std::string& name() const = 0;
  // Fires the event when all work queued so far is done.
  virtual void record(Event& event) = 0;
  // Work queued later waits for the record that is the event's latest at the time of this call.  On the
  // CPU's compute stream this blocks the caller.
  virtual void wait(const Event& event) = 0;
  // Copies bytes; either side may be host (pinned, to be asynchronous on CUDA) or device memory.
  virtual void copy(void* dst, const void* src, std::size_t bytes) = 0;
  // Sets every byte.
  virtual void fill(void* dst, std::uint8_t byte, std::size_t bytes) = 0;
  // Casts `count` elements as ferry::convert does; both sides on this device (on CUDA: device memory).
  virtual void cast(void* dst, DType dst_type, const void* src, DType src_type, std::size_t count) = 0;
  // Runs `work` on the host in stream order.  On CUDA it may call no CUDA function.
  virtual void call(std::function<void()> work) = 0;
  // Blocks the host until all work queued so far is done.
  virtual void synchronize() = 0;
  // cudaStream_t, or nullptr on the CPU.
  virtual void* native() const = 0;
};

// Owns a range of device memory (on the CPU: host memory in its place), aligned to 256 bytes.
class DeviceMemory {
 public:
  using Release = std::function<void(void*)>;
  DeviceMemory() = default;
  DeviceMemory(void* data, std::size_t bytes, Release release)
      : data_(data), bytes_(bytes), release_(std::move(release)) {}
  DeviceMemory(DeviceMemory&& other) noexcept { swap(other); }
  DeviceMemory& operator=(DeviceMemory&& other) noexcept {
    DeviceMemory(std::move(other)).swap(*this);
    return *this;
  }
  DeviceMemory(const DeviceMemory&) = delete;
  DeviceMemory& operator=(const DeviceMemory&) = delete;
  ~DeviceMemory() {
    if (data_ != nullptr) release_(data_);
  }
  std::byte* data() const { return static_cast<std::byte*>(data_); }
  std::size_t bytes() const { return bytes_; }

 private:
  void swap(DeviceMemory& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    std::swap(release_, other.release_);
  }
  void* data_ = nullptr;
  std::size_t bytes_ = 0;
  Release release_;
};

struct MemoryUse {
  std::size_t total_bytes = 0;  // of the device (CPU: of the host or its cgroup)
  std::size_t free_bytes = 0;
};

class Device {
 public:
  virtual ~Device() = default;
  virtual DeviceType type() const = 0;
  virtual int index() const = 0;                // CUDA ordinal; 0 on the CPU
  virtual const std::string& name() const = 0;  // "cpu", "NVIDIA H100 80GB HBM3"
  // The stream the model computes on.
  virtual Stream& compute() = 0;
  virtual std::unique_ptr<Stream> make_stream(const std::string& name, Priority priority) = 0;
  virtual std::unique_ptr<Event> make_event(EventKind kind) = 0;
  // Memory with unspecified content; an empty DeviceMemory for 0 bytes.  Throws OutOfMemory with the bytes
  // requested and free.  Blocks; never called during a forward.
  virtual DeviceMemory allocate(std::size_t bytes) = 0;
  // Page-locks host memory for fast copies; a no-op on the CPU.  Throws CudaError (and clears the sticky
  // error) when the driver refuses.
  virtual void pin(void* data, std::size_t bytes) = 0;
  virtual void unpin(void* data) noexcept = 0;
  virtual MemoryUse memory() const = 0;
};

// Number of usable GPUs; 0 when built without CUDA, without a driver, or with none visible.
int cuda_device_count();

// The UUID of GPU `index` or of its MIG instance: 32 hexadecimal digits.  Throws UserError as
// make_cuda_device does.
std::string cuda_device_uuid(int index);

std::unique_ptr<Device> make_cpu_device();
// Makes GPU `index` current for the calling thread.  Throws UserError if there is no such GPU or the program
// was built without CUDA.
std::unique_ptr<Device> make_cuda_device(int index);

}  // namespace ferry
