// What ranks of one node do to each other's device memory: open it, and tell each other by flags when it may
// be written and when it has been.
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
  Landed,  // what this rank writes is in the other's memory
};

// Between each pair of ranks there is a flag for each signal and direction.  It holds a number, at first 0;
// the next value is one more than the last, and after the largest comes 0.
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

  // Raises this rank's flags for all others to `value`, in stream order, after all that was queued on
  // `stream` before can be seen by them.  What is queued from now on comes after all others raised theirs for
  // this rank.
  virtual void meet(Stream& stream, Signal signal, std::uint32_t value) = 0;
  // Closes the others' flags: nothing is raised from now on.  Their owners keep them until all have closed
  // theirs.
  virtual void close_flags() = 0;
  // Ends this rank's waits for values up to `value`, although nobody came.  Blocks.
  virtual void release(std::uint32_t value) = 0;
};

// Shared mappings.  A wait that takes longer than `deadline_s` fails, which the stream's next wait throws.
// Collective.  Throws SystemError, on every rank or on some.
std::unique_ptr<PeerPort> make_host_peer_port(Control& members, double deadline_s);
// CUDA IPC.  A flag lies in the memory of the rank that waits for it: a device that polls the host's does so
// over the link that weights come by.  Collective.  Throws Error on every rank when one has no such memory or
// cannot open another's, UserError in a program without CUDA.
std::unique_ptr<PeerPort> make_cuda_peer_port(Device& device, Control& members);

}  // namespace ferry::parallel
