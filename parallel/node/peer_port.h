// Access of the ranks of one node to each other's device memory: they open it, and signal by flags when it
// may be written and when it has been.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "base/device.h"
#include "parallel/mpi/control.h"

namespace ferry::parallel {

enum class Signal : std::uint8_t {
  Free,    // this rank's memory may be written
  Landed,  // this rank's writes are in the other's memory
};

// There is one flag for each pair of ranks, signal and direction.  It holds a counter, initially 0, that is
// raised by one and wraps around.
class PeerPort {
 public:
  virtual ~PeerPort() = default;

  struct Shared {
    DeviceMemory memory;
    std::string handle;  // other processes pass it to open()
  };
  // Device memory with unspecified content.  Throws OutOfMemory, CudaError, SystemError.
  virtual Shared share(std::size_t bytes) = 0;
  // Maps another rank's memory for the life of the result; its owner must keep it longer.  Throws CudaError,
  // SystemError.
  virtual DeviceMemory open(const std::string& handle, std::size_t bytes) = 0;

  // Sets this rank's flags for all others to `value`, in stream order, once all earlier work of `stream` is
  // visible to them.  Later work of `stream` waits until all others have set theirs for this rank.
  virtual void meet(Stream& stream, Signal signal, std::uint32_t value) = 0;
  // Closes the others' flags; meet() must not be called again.  Their owners keep them until all have closed
  // them.
  virtual void close_flags() = 0;
  // Ends this rank's waits for values up to `value` without the others.  Blocks.
  virtual void release(std::uint32_t value) = 0;
};

// Over shared mappings.  A wait longer than `patience_s` fails, which the stream's next wait throws.
// Collective.  Throws SystemError, on every rank or on some.
std::unique_ptr<PeerPort> make_host_peer_port(Control& members, double patience_s);
// Over CUDA IPC. A flag lies in the memory of the rank that waits for it: polling host memory would use the
// link that carries the weights.  Collective.  Throws Error on every rank if one has no such memory or cannot
// open another's, UserError in a program without CUDA.
std::unique_ptr<PeerPort> make_cuda_peer_port(Device& device, Control& members);

}  // namespace ferry::parallel
