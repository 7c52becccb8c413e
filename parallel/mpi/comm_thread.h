// The one thread of a rank that calls MPI.
//
// It is a CPU queue stream, so exchanges and control messages are entries of one schedule, which is the
// same on every rank.  It waits for MPI with MPI_Test and gives its core away between tests: it yields for
// the first moments and then sleeps, the longer the longer nothing happens.
#pragma once

#include <mpi.h>

#include <atomic>
#include <functional>
#include <span>

#include "base/clock.h"
#include "base/cpu/event.h"
#include "base/cpu/queue_stream.h"

namespace ferry::parallel {

class CommThread {
 public:
  // `deadline_s`: how long one wait may last without a sign of life from the other ranks.
  explicit CommThread(double deadline_s);

  Stream& stream() { return stream_; }

  // Runs `work` on the thread in its turn and blocks until it is done.  Called by any other thread; `work`
  // owns what it uses, since it may run after this gave up.
  // Throws what `work` threw; Error when it was not done within the deadline.
  void run(std::function<void()> work);

  // Called on the thread: completes all `requests`.  `what` names the operation in messages.  For the first
  // `busy_s` seconds it only yields between tests: MPI moves large messages piece by piece inside them.
  // Throws MpiError; Error when the deadline passes or stop() was called.
  void wait_all(std::span<MPI_Request> requests, const char* what, double busy_s = 100e-6);

  // Tells the other ranks that this one is at work, so that those who wait for it wait on: their deadline
  // counts from here.  Called by any thread, before and during what takes long; returns at once.
  void send_sign_of_life();

  void set_deadline(double seconds) { deadline_s_ = seconds; }
  double deadline_s() const { return deadline_s_; }

  // Every wait_all, now and later, throws.
  void stop() { stopped_ = true; }
  // Blocks until what was queued is done or `seconds` have passed; true when done.
  bool drain(double seconds);

 private:
  void look_for_signs();
  Clock::time_point limit(Clock::time_point begin) const;

  std::atomic<double> deadline_s_;
  std::atomic<Clock::time_point> last_sign_ = Clock::time_point::min();
  std::atomic<bool> stopped_ = false;
  CpuEvent done_{EventKind::Order};
  QueueStream stream_{"ferry-comm"};
};

}  // namespace ferry::parallel
