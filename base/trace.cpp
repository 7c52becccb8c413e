#include "base/trace.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <limits>
#include <sstream>
#include <utility>

namespace ferry {

namespace {

constexpr std::size_t kDropped = std::numeric_limits<std::size_t>::max();

double epoch_us() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration<double, std::micro>(now).count();
}

std::string json_event(std::size_t rank, const TraceSpan& span, double origin_us) {
  return fmt::format(R"({{"ph":"X","pid":{},"tid":{},"name":"{}","ts":{:.3f},"dur":{:.3f}}})", rank,
                     static_cast<int>(span.lane), span.name, span.begin_us - origin_us,
                     span.end_us - span.begin_us);
}

}  // namespace

std::string_view name_of(Lane lane) {
  constexpr std::array<std::string_view, 4> kNames = {"compute", "copy", "exchange", "gather"};
  return kNames[static_cast<std::size_t>(lane)];
}

Trace::Trace(Device& device, std::size_t capacity)
    : origin_(device.make_event(EventKind::Timed)), slots_(capacity) {
  for (Slot& slot : slots_) {
    slot.begin = device.make_event(EventKind::Timed);
    slot.end = device.make_event(EventKind::Timed);
  }
  device.compute().record(*origin_);
  origin_->synchronize();
  origin_us_ = epoch_us();
}

std::size_t Trace::open(Lane lane, const char* name, int index, Stream& stream) {
  throw_kept();
  const std::size_t span = next_.fetch_add(1);
  if (span >= slots_.size()) return kDropped;
  Slot& slot = slots_[span];
  slot.lane = lane;
  slot.name = name;
  slot.index = index;
  stream.record(*slot.begin);
  return span;
}

void Trace::close(std::size_t span, Stream& stream) {
  if (span == kDropped) return;
  stream.record(*slots_[span].end);
  slots_[span].closed = true;
}

void Trace::keep(std::exception_ptr failure) noexcept {
  const std::lock_guard lock(mutex_);
  if (kept_ == nullptr) kept_ = std::move(failure);
}

void Trace::throw_kept() {
  const std::lock_guard lock(mutex_);
  if (kept_ != nullptr) std::rethrow_exception(std::exchange(kept_, nullptr));
}

std::vector<TraceSpan> Trace::spans() {
  throw_kept();
  std::vector<TraceSpan> found;
  const std::size_t used = std::min(next_.load(), slots_.size());
  for (std::size_t i = 0; i < used; ++i) {
    const Slot& slot = slots_[i];
    if (!slot.closed) continue;
    slot.end->synchronize();
    found.push_back({.lane = slot.lane,
                     .name = slot.index < 0 ? slot.name : fmt::format("{} {}", slot.name, slot.index),
                     .begin_us = origin_us_ + 1e3 * slot.begin->ms_since(*origin_),
                     .end_us = origin_us_ + 1e3 * slot.end->ms_since(*origin_)});
  }
  return found;
}

std::size_t Trace::dropped() const {
  const std::size_t opened = next_.load();
  return opened > slots_.size() ? opened - slots_.size() : 0;
}

TraceScope::TraceScope(Trace* trace, Lane lane, const char* name, Stream& stream, int index)
    : trace_(trace), stream_(stream) {
  nvtx_push(name, index);
  if (trace_ != nullptr) span_ = trace_->open(lane, name, index, stream_);
}

TraceScope::~TraceScope() {
  try {
    if (trace_ != nullptr) trace_->close(span_, stream_);
  } catch (...) {
    trace_->keep(std::current_exception());
  }
  nvtx_pop();
}

std::string perfetto_json(const std::vector<std::vector<TraceSpan>>& ranks) {
  double origin_us = std::numeric_limits<double>::max();
  for (const auto& spans : ranks) {
    for (const TraceSpan& span : spans) origin_us = std::min(origin_us, span.begin_us);
  }
  std::vector<std::string> events;
  for (std::size_t rank = 0; rank < ranks.size(); ++rank) {
    events.push_back(
        fmt::format(R"({{"ph":"M","pid":{0},"name":"process_name","args":{{"name":"rank {0}"}}}})", rank));
    for (const Lane lane : {Lane::Compute, Lane::Copy, Lane::Exchange, Lane::Gather}) {
      events.push_back(
          fmt::format(R"({{"ph":"M","pid":{},"tid":{},"name":"thread_name","args":{{"name":"{}"}}}})", rank,
                      static_cast<int>(lane), name_of(lane)));
    }
    for (const TraceSpan& span : ranks[rank]) events.push_back(json_event(rank, span, origin_us));
  }
  return fmt::format("{{\"displayTimeUnit\":\"ms\",\"traceEvents\":[\n{}\n]}}\n", fmt::join(events, ",\n"));
}

std::string to_text(const std::vector<TraceSpan>& spans) {
  std::string text;
  for (const TraceSpan& span : spans) {
    text += fmt::format("{}\t{:.3f}\t{:.3f}\t{}\n", static_cast<int>(span.lane), span.begin_us, span.end_us,
                        span.name);
  }
  return text;
}

std::vector<TraceSpan> spans_from_text(std::string_view text) {
  std::vector<TraceSpan> spans;
  std::istringstream lines{std::string(text)};
  std::string lane;
  std::string begin;
  std::string end;
  std::string name;
  while (std::getline(lines, lane, '\t') && std::getline(lines, begin, '\t') &&
         std::getline(lines, end, '\t') && std::getline(lines, name)) {
    spans.push_back({.lane = static_cast<Lane>(std::stoi(lane)),
                     .name = name,
                     .begin_us = std::stod(begin),
                     .end_us = std::stod(end)});
  }
  return spans;
}

}  // namespace ferry
