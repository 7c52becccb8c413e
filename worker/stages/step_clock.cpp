#include "worker/stages/step_clock.h"

#include <utility>

namespace ferry::worker {

StepClock::StepClock(Device& device, std::function<void(const Event&)> wait, std::function<void()> done)
    : device_(device), wait_(std::move(wait)), done_(std::move(done)) {
  events_.push_back(device_.make_event(EventKind::Timed));
  device_.compute().record(*events_.back());
}

void StepClock::step() {
  if (events_.size() > 1) wait_for_last();
  events_.push_back(device_.make_event(EventKind::Timed));
  device_.compute().record(*events_.back());
}

void StepClock::wait_for_last() {
  wait_(*events_.back());
  ++waited_;
  done_();
}

std::vector<double> StepClock::finish() {
  if (waited_ + 1 < events_.size()) wait_for_last();
  std::vector<double> seconds;
  for (std::size_t i = 1; i < events_.size(); ++i)
    seconds.push_back(events_[i]->ms_since(*events_[i - 1]) / 1000);
  return seconds;
}

}  // namespace ferry::worker
