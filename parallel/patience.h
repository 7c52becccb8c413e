// A deadline for a loop that looks at the clock.
#pragma once

#include <utility>

#include "base/clock.h"

namespace ferry::parallel {

// True when so much time lies between two looks that this process was stopped meanwhile (Ctrl-Z), as those it
// waits for were.
inline bool was_stopped(Clock::time_point last_look, Clock::time_point now) {
  return now - last_look > std::chrono::seconds(1);
}

// Time in which this process was stopped does not count.
class Patience {
 public:
  explicit Patience(double seconds) : look_(Clock::now()), end_(look_ + as_duration(seconds)) {}

  bool over() {
    const Clock::time_point last = std::exchange(look_, Clock::now());
    if (was_stopped(last, look_)) end_ += look_ - last;
    return look_ >= end_;
  }

 private:
  Clock::time_point look_;
  Clock::time_point end_;
};

}  // namespace ferry::parallel
