#include "base/stream_timer.h"

#include <fmt/format.h>

#include <stdexcept>

namespace ferry {

namespace {

// Capacity for the passes of a long run, so that a pass allocates no host memory either.
constexpr std::size_t kPasses = 1024;

}  // namespace

double StreamTimer::Sum::scaled() const {
  return counted == 0 ? 0 : ms * static_cast<double>(spans) / static_cast<double>(counted);
}

StreamTimer::StreamTimer(Device& device, int places, int samples) {
  if (places < 1 || samples < 1) {
    throw std::invalid_argument(fmt::format("StreamTimer: {} places, {} samples", places, samples));
  }
  samples_.resize(static_cast<std::size_t>(samples));
  for (Sample& sample : samples_) {
    sample.begin = device.make_event(EventKind::Timed);
    sample.end = device.make_event(EventKind::Timed);
  }
  by_place_.resize(static_cast<std::size_t>(places));
  by_pass_.reserve(kPasses);
}

void StreamTimer::begin_pass() { by_pass_.emplace_back(); }

void StreamTimer::begins(int place, Stream& stream) {
  Sample& sample = samples_[next_];
  read(sample);
  sample.unread = false;
  sample.pass = by_pass_.size() - 1;
  sample.place = static_cast<std::size_t>(place);
  stream.record(*sample.begin);
}

void StreamTimer::ends(Stream& stream) {
  Sample& sample = samples_[next_];
  stream.record(*sample.end);
  sample.unread = true;
  ++by_pass_.at(sample.pass).spans;
  ++by_place_.at(sample.place).spans;
  next_ = (next_ + 1) % samples_.size();
}

void StreamTimer::read(Sample& sample) {
  if (!sample.unread || !sample.begin->done() || !sample.end->done()) return;
  const double ms = sample.end->ms_since(*sample.begin);
  for (Sum* sum : {&by_pass_[sample.pass], &by_place_[sample.place]}) {
    sum->ms += ms;
    ++sum->counted;
  }
  sample.unread = false;
}

StreamTimes StreamTimer::times() {
  for (Sample& sample : samples_) read(sample);
  StreamTimes times;
  for (const Sum& pass : by_pass_) {
    times.ms_by_pass.push_back(pass.scaled());
    times.ms += pass.scaled();
  }
  const double passes = by_pass_.empty() ? 1 : static_cast<double>(by_pass_.size());
  for (const Sum& place : by_place_) times.ms_by_place.push_back(place.scaled() / passes);
  return times;
}

}  // namespace ferry
