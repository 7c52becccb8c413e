// Plans the networks' weights, with [offload] adapted to each (offload/fit.h).
#pragma once

#include <string>
#include <vector>

#include "worker/job/options.h"
#include "worker/networks.h"

namespace ferry::worker {

// Changes options.offload of the open networks that options.job needs and gives each its plan; returns a line
// for each change.  The same on every rank of a node: of `ranks` in all, `node_size` are on this one.  Throws
// UserError as offload::fit does, and for a vram_limit of all stages that none of them can keep.
std::vector<std::string> fit_offload(Options& options, Networks& networks, int ranks, int node_size);

}  // namespace ferry::worker
