// How ranks go on from where nothing has been done: together, so that none ends alone, as it was asked to
// stop, while another is in a step or writes results.
//
// A rank that is asked before it comes to the meeting gives up (launcher/process/interrupt.h), and the
// meeting never takes place: those that wait there, and are asked too, give up as well.
#pragma once

#include "parallel/mpi/session.h"
#include "worker/state/stop_request.h"

namespace ferry::worker {

// Enters `next`; does not return where the run has been given up: the process is about to end.
void begin_phase(StopRequest& stop, StopRequest::Phase next, parallel::Session& session);
// The same, where nothing has been done once all `ranks` have come.  Collective over them.
void begin_together(StopRequest& stop, StopRequest::Phase next, parallel::Session& session,
                    parallel::Control& ranks);

}  // namespace ferry::worker
