// The only thread of a rank that calls MPI.
//
// It is a CPU queue stream, so exchanges and control messages form one schedule, the same on every rank.  It
// waits for MPI with MPI_Test and gives up its core between tests: at first it yields, then it sleeps, longer
// the longer the wait lasts.
#pragma once

#include <mpi.h>

#include <atomic>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "base/clock.h"
#include "base/cpu/event.h"
#include "base/cpu/queue_stream.h"
#include "parallel/watch/ticks.h"

namespace ferry::parallel {

class CommThread {
 public:
  // `deadline_s`: limit of one wait without a heartbeat from the other ranks, in seconds.  Heartbeats go over
  // `world`, which is not owned; nobody else may use the tag of these messages there.
  CommThread(double deadline_s, MPI_Comm world);

  Stream& stream() { return stream_; }
  MPI_Comm world() const { return world_; }

  // Runs `work` on the thread in its turn and blocks until it is done.  Call from any other thread; `work`
  // must own what it uses, since it may run after this call has timed out.
  // Throws what `work` threw; Error if it was not done within the deadline.
  void run(std::function<void()> work);

  // Completes all `requests`; call on the thread.  `what` names the operation in messages.  For the first
  // `busy_s` seconds it only yields between tests: MPI progresses large messages inside them.
  // Throws MpiError; Error if the deadline passes or stop() was called.
  void wait_all(std::span<MPI_Request> requests, const char* what, double busy_s = 100e-6);

  // Sends the other ranks a heartbeat, which restarts the deadline of those that wait for this rank, unless
  // one was sent in the last second (or fifth of the deadline, if that is shorter).  Takes in theirs.  Call
  // from any thread, before and during long work; returns at once.
  void send_heartbeat();

  // Sends the other ranks a heartbeat and takes in theirs, as soon as the thread comes to it: in a wait too.
  // Any thread; returns at once.
  void keep_contact();
  // Ends the heartbeats: takes in all that were sent to this rank, so that MPI can end with no message on its
  // way.  Later ones are not sent.  Collective over `world`; blocks.  Throws MpiError, and Error after the
  // deadline.
  void end_heartbeats();
  // What a heartbeat says of this rank, and who hears those of others.  Call before others wait.
  void set_signs(std::function<Sign()> mine, std::function<void(int rank, const Sign&)> heard);

  // The others get on, as this rank has learned in another way: as a heartbeat from them.
  void heard() { last_sign_ = Clock::now(); }
  // From now on this rank waits, for its watchdog too, while the thread waits.  Call before others wait.
  void set_ticks(Ticks& ticks);

  void set_deadline(double seconds) { deadline_s_ = seconds; }
  double deadline_s() const { return deadline_s_; }
  // For waits elsewhere that end by themselves: longer, so that the watchdog comes first and names the rank
  // that is late.
  double patience_s() const;

  // Makes every wait_all, current and later, throw.
  void stop() { stopped_ = true; }
  // Blocks until all queued work is done or `seconds` have passed; returns true if done.
  bool drain(double seconds);

 private:
  struct Sent {
    std::unique_ptr<Sign> sign;
    MPI_Request request = MPI_REQUEST_NULL;
  };

  double sign_interval_s() const;
  void trade_signs_if_due();
  void send_signs();
  void look_for_signs();
  Clock::time_point limit(Clock::time_point begin) const;

  const MPI_Comm world_;
  std::atomic<double> deadline_s_;
  std::atomic<Clock::time_point> last_sign_ = Clock::time_point::min();
  std::atomic<bool> stopped_ = false;
  std::atomic<bool> contact_due_ = false;
  // Used by the thread only:
  Ticks* ticks_ = nullptr;
  std::function<Sign()> sign_;
  std::function<void(int rank, const Sign&)> heard_;
  std::vector<Sent> sent_;
  Clock::time_point sent_at_ = Clock::time_point::min();
  int signs_sent_ = 0;  // to each of the others
  int signs_heard_ = 0;
  bool signs_over_ = false;
  CpuEvent done_{EventKind::Order};
  QueueStream stream_{"ferry-comm"};
};

}  // namespace ferry::parallel
