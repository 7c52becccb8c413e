// A deadline for polling loops that does not count time while suspended.
//
// How to wait for another rank:
//
//   text, agreement                      Session::world(), parallel/agree.h: the deadline is theirs
//   an MPI request                       CommThread::wait_all: likewise
//   an event behind another rank's work  wait_for() in parallel/groups.h; in worker/ Rank::wait_for, which
//                                        calls it with the rank's groups, patience and Ticks::Wait
//   a condition that is polled           Patience
//
// The last two hear no heartbeats: for a rank that may be busy for long, use the first two.  The seconds are
// those of Session::patience_s(); when they are over, throw Error, which brings the job down.
//
// A main thread that polls gives no ticks meanwhile: it holds a Ticks::Wait (watch/ticks.h), which tells the
// watchdog that this rank waits, so that it names the rank that is late instead.  The first two hold one
// themselves, parallel::wait_for and Patience do not.
//
// A background thread that its owner can stop needs none of this (offload/arena/pinning.h).
// Event::synchronize() and Stream::synchronize() wait without an end of their own: there the watchdog
// (watch/watchdog.h) ends the job.
#pragma once

#include <utility>

#include "base/clock.h"

namespace ferry::parallel {

// True if the gap between two polls shows that this process was suspended meanwhile (Ctrl-Z), and so were
// those it waits for.
inline bool was_stopped(Clock::time_point last_look, Clock::time_point now) {
  return now - last_look > std::chrono::seconds(1);
}

// Time during which this process was suspended does not count.
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
