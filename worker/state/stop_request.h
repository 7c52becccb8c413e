// A request to stop early and go on later (SIGTERM, SIGUSR1): made by launcher/ on a thread of its own,
// answered by the run.
#pragma once

#include <atomic>
#include <cstdint>

#include "base/error.h"

namespace ferry::worker {

inline constexpr int kRequeueExit = 75;  // exit code of a run that another one continues (EX_TEMPFAIL)

// Thrown on every rank at the same border when one was asked to stop.
class Stopped : public Error {
 public:
  Stopped() : Error("stopped") {}
};

class StopRequest {
 public:
  enum class Phase : std::uint8_t {
    NothingDone,  // before the first step: nothing is lost by ending at once
    Meeting,      // waits for the other ranks, with which the next phase begins (worker/state/meeting.h)
    Stoppable,    // steps and decoding: the run stops at the next border
    Finishing,    // results are being written: the run ends as if nobody had asked
    GivenUp       // the process ends at once: of the run no more is expected
  };

  // Any thread.
  void ask() { asked_ = true; }
  bool asked() const { return asked_; }
  // Any thread but the run's.  Returns true if the run has been given up, now or before: it then enters no
  // other phase, and the process shall exit with kRequeueExit.  It can be where nothing has been done, and
  // where it waits for a meeting to which, as another rank has given up, not all will come.
  bool give_up(bool another_has) {
    Phase now = phase_;
    while (now == Phase::NothingDone || (now == Phase::Meeting && another_has)) {
      if (phase_.compare_exchange_weak(now, Phase::GivenUp)) return true;
    }
    return now == Phase::GivenUp;
  }

  // The run's thread.
  bool nothing_done() const { return phase_ == Phase::NothingDone; }
  // False if the run has been given up.
  bool enter(Phase phase) {
    Phase now = phase_;
    while (now != Phase::GivenUp && !phase_.compare_exchange_weak(now, phase)) continue;
    return now != Phase::GivenUp;
  }

 private:
  std::atomic<bool> asked_ = false;
  std::atomic<Phase> phase_ = Phase::NothingDone;
};

}  // namespace ferry::worker
