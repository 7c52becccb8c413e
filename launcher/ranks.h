// The life of an MPI job inside one process: start, work, and an end that takes every rank along.
#pragma once

#include <functional>

#include "parallel/mpi/session.h"
#include "worker/job/options.h"

namespace ferry::launcher {

// Throws UserError when several processes were started together in a way that MPI does not know of: each
// would make the whole video.  For a process that is no rank and was not told -n.
void refuse_unknown_to_mpi();

// Starts MPI and the log, runs `work` and ends MPI; returns its exit code.
//   UserError, RunFailure  thrown again on the rank that speaks after MPI has ended; every rank must throw it
//   any other exception    rank, host and reason are logged, all ranks go down, exit code 1
//   a signal               all ranks go down, exit code 128 + the signal's number
//   (launcher/process/interrupt.h)
int run_ranks(int& argc, char**& argv, const worker::RunOptions& options,
              const std::function<int(parallel::Session&)>& work);

}  // namespace ferry::launcher
