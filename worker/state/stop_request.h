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
    Stoppable,    // steps and decoding: the run stops at the next border
    Finishing     // results are being written: the run ends as if nobody had asked
  };

  // Any thread.  Returns true if the process shall exit with kRequeueExit at once, else the run answers.
  bool ask() {
    asked_ = true;
    return phase_ == Phase::NothingDone;
  }
  bool asked() const { return asked_; }
  bool nothing_done() const { return phase_ == Phase::NothingDone; }
  void enter(Phase phase) { phase_ = phase; }

 private:
  std::atomic<bool> asked_ = false;
  std::atomic<Phase> phase_ = Phase::NothingDone;
};

}  // namespace ferry::worker
