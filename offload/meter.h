// How long copies took and how long the compute stream waited for them, by the device's own events.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/device.h"

namespace ferry::offload {

// One sample per ferried block.  Its events are made once and used again a few passes later; a sample that
// is not over by then is given up (the host never waits), and totals are scaled to the samples there are.
class Meter {
 public:
  // `period`: ferried blocks of one pass.
  Meter(Device& device, int period);

  void copy_begins(std::int64_t position, Stream& stream);
  void copy_ends(std::int64_t position, Stream& stream);
  void wait_begins(std::int64_t position, Stream& compute);
  void wait_ends(std::int64_t position, Stream& compute);
  // Reads what is over.  Not in a forward.
  void collect();

  double copy_ms() const { return scaled(copy_ms_); }
  double exposed_ms() const { return scaled(exposed_ms_); }
  // Waiting time by place in the pass, mean over its samples.
  std::vector<double> exposed_ms_by_block() const;

 private:
  struct Sample {
    std::int64_t position = -1;
    std::unique_ptr<Event> copy_begin, copy_end, wait_begin, wait_end;
    bool copied = false;
    bool waited = false;
  };
  Sample& at(std::int64_t position);
  void read(Sample& sample);
  double scaled(double ms) const;
  int period_;
  std::vector<Sample> samples_;
  std::int64_t blocks_ = 0;  // that were waited for
  std::int64_t counted_ = 0;
  double copy_ms_ = 0;
  double exposed_ms_ = 0;
  std::vector<double> by_block_;
  std::vector<std::int64_t> counted_by_block_;
};

}  // namespace ferry::offload
