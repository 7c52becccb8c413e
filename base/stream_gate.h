// A gate across streams of a device, which one of them closes and opens and another passes.  Unlike an event
// it can be waited at before anybody has queued what opens it.
//
// So it can hold up what its own opening depends on: the driver makes a thread wait for all streams when it
// loads a kernel, gives memory back or locks pages, and if that is the thread that would have queued the
// opening, or another rank's that this one waits for, nobody would go on.  Therefore a gate is a courtesy: it
// opens by itself when it has been closed for between once and twice kGatePatience.
#pragma once

#include <chrono>
#include <memory>

#include "base/device.h"

namespace ferry {

// Longer than exchanges that nothing is in the way of.
inline constexpr std::chrono::milliseconds kGatePatience{50};

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

// It has a thread, and on CUDA page-locks a few bytes.  `device` outlives it, as it outlives what was queued.
// Throws OutOfMemory, CudaError.
std::unique_ptr<StreamGate> make_stream_gate(Device& device);

// make_stream_gate() for a GPU.
std::unique_ptr<StreamGate> make_cuda_stream_gate(Device& device);

}  // namespace ferry
