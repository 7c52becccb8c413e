// The life of an MPI job in one process: start, work, and an end that takes all ranks along.
#pragma once

#include <functional>

#include "parallel/mpi/session.h"
#include "worker/job/options.h"
#include "worker/state/stop_request.h"

namespace ferry::launcher {

// Throws UserError if several processes were started together in a way unknown to MPI: each would make the
// whole video.  For a process that is not a rank and was started without -n.
void refuse_unknown_to_mpi();

// Starts MPI and the log, runs `work` and ends MPI; returns its exit code.
//   UserError, RunFailure  rethrown after MPI has ended, on the rank that speaks, if every rank throws it;
//                          else as below, with exit code 2 for a UserError
//   any other exception    rank, host, place and reason are logged, all ranks are aborted, exit code 1
//   a rank that dies,      a rank that still runs reports it (parallel/watch/), all ranks are aborted
//   stops or hangs
//   a signal               all ranks are aborted, exit code 128 + the signal's number; with `stop`, SIGTERM
//                          and SIGUSR1 ask `work` to stop (launcher/process/interrupt.h)
int run_ranks(int& argc, char**& argv, const worker::RunOptions& options,
              const std::function<int(parallel::Session&)>& work, worker::StopRequest* stop = nullptr);

}  // namespace ferry::launcher
