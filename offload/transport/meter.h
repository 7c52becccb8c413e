// Measures copies and the compute stream's waits for them, with device events.
#pragma once

#include <cstdint>

#include "base/stream_timer.h"

namespace ferry::offload {

// One span of each kind per ferried block, kept for a few passes (base/stream_timer.h).
class Meter {
 public:
  // `period`: ferried blocks per pass.  Positions count them over all passes.
  Meter(Device& device, int period);

  void copy_begins(Stream& stream) { copies_.begins(0, stream); }
  void copy_ends(Stream& stream) { copies_.ends(stream); }
  void wait_begins(std::int64_t position, Stream& compute);
  void wait_ends(Stream& compute) { waits_.ends(compute); }

  // Not during a forward.
  double copy_ms() { return copies_.times().ms; }
  // Waits of the compute stream; the places are the ferried blocks.
  StreamTimes exposed() { return waits_.times(); }
  // Waits of the last pass over the blocks, which must be over; 0: none.
  double last_exposed_ms();

 private:
  int period_;
  StreamTimer copies_;  // one pass and place, since prefetches cross passes
  StreamTimer waits_;
};

}  // namespace ferry::offload
