// The borders at which a run may be saved and stopped.
#pragma once

#include <functional>

#include "base/error.h"
#include "parallel/mpi/session.h"
#include "worker/state/sampling_state.h"
#include "worker/state/stop_request.h"
#include "worker/state/unfinished_run.h"

namespace ferry::worker {

// True if this rank was asked to stop, which it tells the others, or another has said so.
bool stop_asked(const StopRequest& stop, parallel::Session& session);

// Every rank makes the same calls, all collective over the world unless they say otherwise.
class SavePoints {
 public:
  using State = std::function<SamplingState()>;  // in host memory; called on the first rank

  // `stop` is nullptr if nobody can ask, the same on every rank.  `unfinished` is where the first rank saves;
  // nullptr: nowhere (a run that only decodes).  `every`: steps between two saves, 0: only when stopped.
  SavePoints(parallel::Session& session, StopRequest* stop, UnfinishedRun* unfinished, int every)
      : session_(session), stop_(stop), unfinished_(unfinished), every_(every) {}

  // From here on a request waits for a border.
  void begin();
  // True if any rank was asked to stop.
  bool stop_agreed() const;
  // True if this rank was, or one of the job that has said so: for a stage that this rank runs alone, and for
  // what other groups of ranks do.
  bool stop_asked() const { return stop_ != nullptr && worker::stop_asked(*stop_, session_); }
  // Between two steps: saves if `steps_done` is a multiple of `every`; if any rank was asked to stop, as
  // stop().  A save that fails is logged, and the run goes on.
  void between_steps(int steps_done, const State& state);
  // Saves, and throws Stopped on every rank once the state is on disk.  Throws the first rank's FileError on
  // every rank.
  [[noreturn]] void stop(const State& state);

 private:
  void save(const State& state);

  parallel::Session& session_;
  StopRequest* stop_;
  UnfinishedRun* unfinished_;
  int every_;
};

}  // namespace ferry::worker
