// Copies from the arena to the device, in chunks, over a link that can be slowed down.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/clock.h"
#include "base/device.h"
#include "base/trace.h"

namespace ferry::offload {

class PinBorders;

// Bytes per copy command: 16 MiB on a GPU (98 % of the link's speed), 4 MiB on the CPU.
std::size_t chunk_bytes(DeviceType device);

// Callbacks before and after each chunk; they may queue work on its stream.
class ChunkGuard {
 public:
  virtual ~ChunkGuard() = default;
  virtual void before_chunk(Stream& stream) = 0;
  virtual void after_chunk(Stream& stream) = 0;
};

// One stream's link from host memory.  With a cap the stream sleeps after each chunk until a link of that
// speed would have finished it (absolute times, so that oversleeping does not accumulate); it never spins,
// and idle time is not credited.  On CUDA the sleep is a host call in the stream.
class Link {
 public:
  // `gbps` is 1e9 bytes/s; 0: no cap.  `guard`, `trace` and `borders`, at which chunks end, are optional and
  // must outlive this object.
  Link(double gbps, std::size_t chunk_bytes, ChunkGuard* guard = nullptr, Trace* trace = nullptr,
       const PinBorders* borders = nullptr)
      : gbps_(gbps), chunk_bytes_(chunk_bytes), guard_(guard), trace_(trace), borders_(borders) {}
  Link(const Link&) = delete;
  Link& operator=(const Link&) = delete;

  // Queued on `stream`, always the same one; returns at once if the stream is asynchronous.  Traced as a span
  // "copy <block>"; with a guard as one span per chunk, since its waits are not copying.
  void copy(Stream& stream, void* dst, const void* src, std::size_t bytes, int block = -1);
  std::size_t chunk() const { return chunk_bytes_; }
  std::uint64_t copied_bytes() const { return copied_bytes_; }

 private:
  void start_clock(Stream& stream);
  void sleep_off(Stream& stream, std::size_t bytes);
  double gbps_;
  std::size_t chunk_bytes_;
  ChunkGuard* guard_;
  Trace* trace_;
  const PinBorders* borders_;
  std::uint64_t copied_bytes_ = 0;
  Clock::time_point free_at_;  // when the emulated link is free again; accessed in stream order only
};

}  // namespace ferry::offload
