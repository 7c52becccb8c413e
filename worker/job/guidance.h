// What parallel.cfg = auto becomes for a job (parallel/choose_cfg.h).
#pragma once

#include <vector>

#include "parallel/choose_cfg.h"
#include "worker/job/memory_check.h"

namespace ferry::worker {

// Decides by the job's shapes, the model's heads, the ranks and all the memory of their devices; on the CPU
// that is what the host copy leaves of the node's, divided by its ranks.  A mode that was given stays, and
// has no reason. Throws UserError for options of the DiT's strategy that do not suit it.
parallel::CfgChoice decide_cfg(const Options& options, const Job& job, const Networks& networks,
                               const std::vector<RankMemory>& ranks);

}  // namespace ferry::worker
