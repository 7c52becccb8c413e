// How long copies took and how long the compute stream waited for them, by the device's own events.
#pragma once

#include <cstdint>

#include "base/stream_timer.h"

namespace ferry::offload {

// One span of each kind per ferried block, kept for a few passes (base/stream_timer.h).
class Meter {
 public:
  // `period`: ferried blocks of one pass.  A position counts them over all passes.
  Meter(Device& device, int period);

  void copy_begins(Stream& stream) { copies_.begins(0, stream); }
  void copy_ends(Stream& stream) { copies_.ends(stream); }
  void wait_begins(std::int64_t position, Stream& compute);
  void wait_ends(Stream& compute) { waits_.ends(compute); }

  // Not in a forward.
  double copy_ms() { return copies_.times().ms; }
  // Of the compute stream; the places are the ferried blocks.
  StreamTimes exposed() { return waits_.times(); }
  // Of the last pass over the blocks, which is over; 0: there was none.
  double last_exposed_ms();

 private:
  int period_;
  StreamTimer copies_;  // prefetches cross passes: one pass, one place
  StreamTimer waits_;
};

}  // namespace ferry::offload
