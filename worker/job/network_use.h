// What a job sends from node to node; mesh.h lays the ranks out so that it is little.
#pragma once

#include <string>

#include "worker/job/memory_check.h"

namespace ferry::worker {

// A warning if ranks that exchange activations are on several nodes: which, how much they send in a step, and
// what would avoid that: with `may_halve`, which says that cfg is free to be another, branches on halves of
// the ranks too.  Else empty.
std::string network_warning(const Job& job, const Networks& networks, const Machine& machine, bool may_halve);

}  // namespace ferry::worker
