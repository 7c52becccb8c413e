// Monotonic time.
#pragma once

#include <chrono>

namespace ferry {

using Clock = std::chrono::steady_clock;

inline double seconds_between(Clock::time_point begin, Clock::time_point end) {
  return std::chrono::duration<double>(end - begin).count();
}

inline double seconds_since(Clock::time_point begin) { return seconds_between(begin, Clock::now()); }

inline Clock::duration as_duration(double seconds) {
  return std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
}

// A point in time after which a wait counts as failed.  For other ranks: parallel/patience.h.
class Deadline {
 public:
  explicit Deadline(double seconds) : seconds_(seconds), end_(Clock::now() + as_duration(seconds)) {}
  bool passed() const { return Clock::now() >= end_; }
  double seconds() const { return seconds_; }  // counted from construction
  Clock::time_point end() const { return end_; }

 private:
  double seconds_;
  Clock::time_point end_;
};

}  // namespace ferry
