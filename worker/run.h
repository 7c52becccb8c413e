// The life of one rank: check the job, run the stages, write the results.
#pragma once

#include "parallel/mpi/session.h"
#include "worker/job/options.h"

namespace ferry::worker {

// Makes the video that `options` ask for.  Called by every rank; returns the exit code, 0.
// Throws UserError, the same on every rank, for what is wrong before weights are read, and RunFailure, the
// same on every rank, when values stop being finite: then no result is written.  Anything else that is thrown
// may come from one rank alone, and the caller brings the others down (Session::abort).
int run(const Options& options, parallel::Session& session);

}  // namespace ferry::worker
