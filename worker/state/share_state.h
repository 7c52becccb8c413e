// Gives every rank the state that the first one read.
#pragma once

#include "worker/rank.h"
#include "worker/state/sampling_state.h"

namespace ferry::worker {

// Returns the first rank's state on every rank, on its device; `mine` is ignored elsewhere.  Queued on the
// compute stream.  Collective over the world.
SamplingState shared_state(Rank& rank, const SamplingState* mine);

}  // namespace ferry::worker
