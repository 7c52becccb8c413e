// A gate across streams of a device, which one of them closes and opens and another passes.  Unlike an event
// it can be waited at before anybody has queued what opens it.
#pragma once

#include <memory>

#include "base/device.h"

namespace ferry {

// Open at first.  All are queued, in stream order, and return at once; on the CPU's compute stream pass()
// blocks the caller.
class StreamGate {
 public:
  virtual ~StreamGate() = default;
  virtual void close(Stream& stream) = 0;
  virtual void open(Stream& stream) = 0;
  // What is queued on `stream` from now on begins when the gate is open, and is not held up any more once it
  // has begun.
  virtual void pass(Stream& stream) = 0;
};

// On CUDA it takes a few bytes of device memory.  `device` outlives it, and so do streams that use it.
// Throws OutOfMemory, CudaError.
std::unique_ptr<StreamGate> make_stream_gate(Device& device);

// make_stream_gate() for a GPU.
std::unique_ptr<StreamGate> make_cuda_stream_gate(Device& device);

}  // namespace ferry
