#include "offload/meter.h"

namespace ferry::offload {

namespace {

constexpr int kPasses = 3;  // that samples are kept for

}  // namespace

Meter::Meter(Device& device, int period)
    : period_(period),
      samples_(static_cast<std::size_t>(kPasses * period)),
      by_block_(static_cast<std::size_t>(period)),
      counted_by_block_(static_cast<std::size_t>(period)) {
  for (Sample& sample : samples_) {
    sample.copy_begin = device.make_event(EventKind::Timed);
    sample.copy_end = device.make_event(EventKind::Timed);
    sample.wait_begin = device.make_event(EventKind::Timed);
    sample.wait_end = device.make_event(EventKind::Timed);
  }
}

Meter::Sample& Meter::at(std::int64_t position) {
  Sample& sample = samples_[static_cast<std::size_t>(position) % samples_.size()];
  if (sample.position != position) {
    read(sample);
    sample.position = position;
    sample.copied = sample.waited = false;
  }
  return sample;
}

void Meter::read(Sample& sample) {
  if (!sample.waited || !sample.wait_begin->done() || !sample.wait_end->done()) return;
  if (sample.copied && sample.copy_end->done()) copy_ms_ += sample.copy_end->ms_since(*sample.copy_begin);
  const double exposed = sample.wait_end->ms_since(*sample.wait_begin);
  exposed_ms_ += exposed;
  const auto place = static_cast<std::size_t>(sample.position % period_);
  by_block_[place] += exposed;
  ++counted_by_block_[place];
  ++counted_;
  sample.waited = false;
}

void Meter::copy_begins(std::int64_t position, Stream& stream) { stream.record(*at(position).copy_begin); }

void Meter::copy_ends(std::int64_t position, Stream& stream) {
  Sample& sample = at(position);
  stream.record(*sample.copy_end);
  sample.copied = true;
}

void Meter::wait_begins(std::int64_t position, Stream& compute) { compute.record(*at(position).wait_begin); }

void Meter::wait_ends(std::int64_t position, Stream& compute) {
  Sample& sample = at(position);
  compute.record(*sample.wait_end);
  sample.waited = true;
  ++blocks_;
}

void Meter::collect() {
  for (Sample& sample : samples_) read(sample);
}

double Meter::scaled(double ms) const {
  return counted_ == 0 ? 0 : ms * static_cast<double>(blocks_) / static_cast<double>(counted_);
}

std::vector<double> Meter::exposed_ms_by_block() const {
  std::vector<double> mean(by_block_.size());
  for (std::size_t i = 0; i < mean.size(); ++i) {
    if (counted_by_block_[i] > 0) mean[i] = by_block_[i] / static_cast<double>(counted_by_block_[i]);
  }
  return mean;
}

}  // namespace ferry::offload
