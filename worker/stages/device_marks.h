// Ticks from the device: where it is, while the host is ahead of it.
//
// The host queues a step in a fraction of the time that a GPU computes it, so its own ticks end early.  A
// mark is an event behind a block on the compute stream; the host looks at the marks while it waits for a
// step.
#pragma once

#include <cstddef>
#include <deque>
#include <memory>
#include <vector>

#include "base/device.h"
#include "parallel/watch/ticks.h"

namespace ferry::worker {

// Used by the main thread.
class DeviceMarks {
 public:
  // Makes the events for `count` marks ahead; more are made when they are needed.
  DeviceMarks(Device& device, parallel::Ticks& ticks, std::size_t count = 0);

  // Marks the end of what is queued so far; later ones come after it.
  void put(const parallel::Where& where);
  // Ticks if the device has passed marks since the last look, with the last of them.  Returns true if so.
  // Throws CudaError if the device has failed.
  bool look();

 private:
  struct Mark {
    parallel::Where where;
    std::unique_ptr<Event> passed;
  };
  Device& device_;
  parallel::Ticks& ticks_;
  std::deque<Mark> ahead_;
  std::vector<std::unique_ptr<Event>> unused_;
};

}  // namespace ferry::worker
