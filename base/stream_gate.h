// A gate between streams of a device: one closes and opens it, another passes it.  Unlike an event it can be
// waited on before the operation that opens it has been queued.
//
// It can therefore block the very work that is to open it: the driver makes a thread wait for all streams
// when it loads a kernel, frees memory or locks pages.  If that thread, or one of another rank that this rank
// waits for, was about to queue the opening, the result is a deadlock.  A gate is therefore only a hint: it
// opens by itself after being closed for between one and two times kGateTimeout.
#pragma once

#include <chrono>
#include <memory>

#include "base/device.h"

namespace ferry {

// Longer than an unobstructed exchange.
inline constexpr std::chrono::milliseconds kGateTimeout{50};

// Initially open.  All calls queue their work in stream order and return at once; on the CPU's compute stream
// pass() blocks the caller.
class StreamGate {
 public:
  virtual ~StreamGate() = default;
  virtual void close(Stream& stream) = 0;
  virtual void open(Stream& stream) = 0;
  // Work queued on `stream` from now on starts once the gate is open, and is not held up after it has
  // started.
  virtual void pass(Stream& stream) = 0;
};

// The gate has a thread, and on CUDA page-locks a few bytes.  `device` must outlive it, and it the queued
// work.
// Throws OutOfMemory, CudaError.
std::unique_ptr<StreamGate> make_stream_gate(Device& device);

// make_stream_gate() for a GPU.
std::unique_ptr<StreamGate> make_cuda_stream_gate(Device& device);

}  // namespace ferry
