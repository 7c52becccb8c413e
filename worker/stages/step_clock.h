// Times the steps of a loop on the device without stalling it: the host stays at most one step ahead.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "base/device.h"

namespace ferry::worker {

class StepClock {
 public:
  // `done` is called on the calling thread for each step that has ended on the device, in order.  `wait`
  // blocks until an event is done.
  StepClock(Device& device, std::function<void(const Event&)> wait, std::function<void()> done);

  // Call when a step has been queued on device.compute().  Blocks until the previous one has ended.
  void step();
  // Blocks until the last step has ended; returns each step's seconds on the device.
  std::vector<double> finish();

 private:
  void wait_for_last();

  Device& device_;
  std::function<void(const Event&)> wait_;
  std::function<void()> done_;
  std::vector<std::unique_ptr<Event>> events_;  // the start, then the end of each step
  std::size_t waited_ = 0;                      // steps that have ended
};

}  // namespace ferry::worker
