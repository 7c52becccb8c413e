// Timeline of one rank: spans on four lanes, timed by device events, for Perfetto.
//
// Disabled (a null Trace*) it costs a pointer test.  Enabled, its events are created at construction, so that
// a traced forward allocates nothing either; when they are used up, later spans are dropped and counted.
// Every TraceScope is also an NVTX range of the same name, traced or not, in a build with CUDA.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/device.h"

namespace ferry {

enum class Lane : std::uint8_t { Compute, Copy, Exchange, Gather };

std::string_view name_of(Lane lane);  // "compute", "copy", "exchange", "gather"

struct TraceSpan {
  Lane lane = Lane::Compute;
  std::string name;     // "attention 12"
  double begin_us = 0;  // since the Unix epoch, to align ranks of one node
  double end_us = 0;
};

class Trace {
 public:
  // Holds up to `capacity` spans.  Blocks until the device has passed its first event.
  explicit Trace(Device& device, std::size_t capacity = 1U << 15U);

  // Records the beginning of a span in `stream`; `name` must have static lifetime (a literal), `index` is
  // appended to it unless negative.  Returns the span for close().  Any thread may call.
  // Throws the kept failure, as spans() does.
  std::size_t open(Lane lane, const char* name, int index, Stream& stream);
  void close(std::size_t span, Stream& stream);
  // Keeps the failure of a TraceScope's end, which a destructor cannot throw; the first one is kept, and
  // thrown once.
  void keep(std::exception_ptr failure) noexcept;

  // Returns all closed spans in order of opening; blocks until they are over.
  std::vector<TraceSpan> spans();
  std::size_t dropped() const;

 private:
  struct Slot {
    std::unique_ptr<Event> begin;
    std::unique_ptr<Event> end;
    Lane lane = Lane::Compute;
    const char* name = "";
    int index = -1;
    bool closed = false;
  };
  void throw_kept();
  std::unique_ptr<Event> origin_;
  double origin_us_ = 0;
  std::vector<Slot> slots_;
  std::atomic<std::size_t> next_{0};
  std::mutex mutex_;  // guards the members below
  std::exception_ptr kept_;
};

class TraceScope {
 public:
  TraceScope(Trace* trace, Lane lane, const char* name, Stream& stream, int index = -1);
  ~TraceScope();
  TraceScope(const TraceScope&) = delete;
  TraceScope& operator=(const TraceScope&) = delete;

 private:
  Trace* trace_;
  Stream& stream_;
  std::size_t span_ = 0;
};

// Ranges for Nsight Systems, named like spans; no-ops in a build without CUDA.
void nvtx_push(const char* name, int index);
void nvtx_pop();

// The spans of each rank as one JSON document in the trace event format, which Perfetto and
// chrome://tracing open: a process per rank, a thread per lane, times in microseconds from the first span.
std::string perfetto_json(const std::vector<std::vector<TraceSpan>>& ranks);

// Serializes one rank's spans as text and back, to send them to rank 0.
std::string to_text(const std::vector<TraceSpan>& spans);
std::vector<TraceSpan> spans_from_text(std::string_view text);

}  // namespace ferry
