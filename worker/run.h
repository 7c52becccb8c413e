// The life of one rank: check the job, run the stages, write the results.
#pragma once

#include "parallel/mpi/session.h"
#include "worker/job/options.h"
#include "worker/state/stop_request.h"

namespace ferry::worker {

// Makes the video described by `options`.  Called by every rank; returns the exit code: 0, or kRequeueExit if
// a rank was asked to stop, once the state is on disk.
// Throws UserError, the same on every rank, for faults found before weights are read, and RunFailure, the
// same on every rank, as make_video() does.  Other exceptions may come
// from a single rank, and the caller aborts the job (Session::abort).
int run(const Options& options, parallel::Session& session, StopRequest& stop);

}  // namespace ferry::worker
