// What ranks of one node do to each other's device memory: open it, and tell each other by flags when it may
// be written and when it has been.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "base/device.h"

namespace ferry::parallel {

// A number in host memory that all ranks of a node have mapped.  One rank raises it, one waits for it; the
// next value is one more than the last, and after the largest comes 0.
struct alignas(128) Flag {
  std::atomic<std::uint32_t> value;
};
static_assert(std::atomic<std::uint32_t>::is_always_lock_free && sizeof(Flag) == 128);

// True when a flag that holds `value` was raised to `wanted`.
inline bool reached(std::uint32_t value, std::uint32_t wanted) {
  return static_cast<std::int32_t>(value - wanted) >= 0;
}

class PeerPort {
 public:
  virtual ~PeerPort() = default;

  struct Shared {
    DeviceMemory memory;
    std::string handle;  // by which other processes open it
  };
  // Device memory with unspecified content.  Throws OutOfMemory, CudaError, SystemError.
  virtual Shared share(std::size_t bytes) = 0;
  // Another rank's memory, as long as the result lives; its owner keeps it longer.  Throws CudaError,
  // SystemError.
  virtual DeviceMemory open(const std::string& handle, std::size_t bytes) = 0;

  // In stream order, after all that was queued on `stream` before can be seen by whoever waits.
  virtual void raise(Stream& stream, Flag& flag, std::uint32_t value) = 0;
  // What is queued on `stream` from now on comes after the flag was raised to `value`.
  virtual void await(Stream& stream, const Flag& flag, std::uint32_t value) = 0;
};

// Shared mappings.  A wait that takes longer than `deadline_s` fails, which the stream's next wait throws.
std::unique_ptr<PeerPort> make_host_peer_port(double deadline_s);
// CUDA IPC.  All flags lie from `flags` on, in memory that was page-locked at once.  Throws UserError in a
// program without CUDA, and CudaError when the driver lacks memory operations of streams.
std::unique_ptr<PeerPort> make_cuda_peer_port(Device& device, Flag* flags);

}  // namespace ferry::parallel
