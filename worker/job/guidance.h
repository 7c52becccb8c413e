// Resolves parallel.cfg = auto for a job (parallel/choose_cfg.h).
#pragma once

#include <vector>

#include "parallel/choose_cfg.h"
#include "worker/job/memory_check.h"

namespace ferry::worker {

// Decides by the job's shapes, the model's heads, the ranks, their nodes and the total memory of their
// devices; on the CPU that is the node's memory without the host copy, divided by its ranks.  A given mode is
// kept, without a reason.  Throws UserError for options of the DiT's strategy that do not suit it.
parallel::CfgChoice decide_cfg(const Options& options, const Job& job, const Networks& networks,
                               const std::vector<RankMemory>& ranks);

}  // namespace ferry::worker
