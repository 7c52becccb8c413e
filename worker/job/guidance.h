// How the guidance branches of a video share its ranks: parallel.cfg = auto (parallel/choose_cfg.h), for a
// run and, so that both decide alike, for a prediction (worker/planner/predict.h).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/dtype.h"
#include "model/dit/config.h"
#include "offload/plan.h"
#include "parallel/choose_cfg.h"
#include "worker/job/memory_check.h"

namespace ferry::worker {

// Memory that a rank on the CPU has in the place of a device's, in bytes: its part, as large as that of each
// of the `node_ranks`, of what the plan's host copy leaves of the node's memory.
std::size_t cpu_device_bytes(std::size_t host_bytes, const offload::StagePlan& plan, int node_ranks);

// A DiT, what it is to compute, and where.
struct DitWork {
  const model::DitConfig& dit;
  DType compute = DType::BF16;
  std::array<std::int64_t, 4> latent{};  // [C, F, h, w]
  bool guided = true;
  const offload::StagePlan& plan;
  bool on_gpu = false;
  parallel::Options options{};  // cfg is ignored
  std::vector<int> nodes{};     // node of each rank
  std::size_t total_bytes = 0;  // device memory of the rank that has the least
};

parallel::CfgChoice choose_cfg(const DitWork& work);

// Decides by the job's shapes, the model's heads, the ranks, their nodes and the total memory of their
// devices; on the CPU that is cpu_device_bytes().  A given mode is kept, without a reason.  Throws UserError
// for options of the DiT's strategy that do not suit it.
parallel::CfgChoice decide_cfg(const Options& options, const Job& job, const Networks& networks,
                               const std::vector<RankMemory>& ranks);

}  // namespace ferry::worker
