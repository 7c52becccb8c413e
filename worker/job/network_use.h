// What a job sends from node to node.
#pragma once

#include <string>

#include "worker/job/memory_check.h"

namespace ferry::worker {

// Bytes that attention's exchanges send from node to node in a step, with all branches, if `nodes` are those
// of the ranks.  0 for a job without a DiT.
double network_bytes(const Job& job, const Networks& networks, const parallel::Mesh& mesh,
                     const std::vector<int>& nodes);

// A warning if ranks that exchange activations are on several nodes: which, how much they send in a step, and
// what would avoid that.  Else empty.
std::string network_warning(const Job& job, const Networks& networks, const Machine& machine);

}  // namespace ferry::worker
