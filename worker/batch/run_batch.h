// Makes the videos of a batch by one engine: one after the other, or several at the same time.
#pragma once

#include "parallel/mpi/session.h"
#include "worker/batch/batch.h"
#include "worker/job/options.h"
#include "worker/state/stop_request.h"

namespace ferry::worker {

// Makes every item of which no results are there: its video, sheet, record and tensors have the bits of a run
// of its own on as many ranks as make it.  One that cannot be made is listed (worker/batch/failed_list.h) and
// the rest go on.  Weights stay for the next item as run.keep says; prompts of all items are encoded in as
// few visits of the text encoder as host memory allows.  With options.parallel.data the ranks are divided
// into groups, and stay so (Session::divide), each of which makes a video at a time.  `options` has what is
// not of a single item; every rank has the same batch.
// Called by every rank; returns the exit code: 0 if every item is there at the end, or kRequeueExit if a rank
// was asked to stop: the same batch then goes on, in the items that were being made.
// Throws UserError, the same on every rank: the model cannot be used, or the list cannot be written; and
// RunFailure, the same on every rank, if items failed.  Other exceptions may come from a single rank, and the
// caller aborts the job.
int run_batch(const Options& options, const Batch& batch, parallel::Session& session, StopRequest& stop);

}  // namespace ferry::worker
