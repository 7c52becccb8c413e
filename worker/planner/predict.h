// Predicts time and memory of one sampling step from shapes and a machine's rates: no device, no weights, no
// ranks.  Memory comes from the functions that a run's own check uses (offload/plan.h,
// model/*/activations.h), time from docs/planner.md's model.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/dtype.h"
#include "model/dit/config.h"
#include "offload/options.h"
#include "offload/plan.h"
#include "parallel/options.h"
#include "worker/planner/rates.h"

namespace ferry::worker {

class RateUse;  // worker/planner/step_time.h

// One way to sample one video.
struct Cell {
  model::DitConfig dit;
  DType compute = DType::BF16;
  std::int64_t width = 832;  // pixels
  std::int64_t height = 480;
  std::int64_t frames = 81;
  bool guided = true;          // two guidance branches a step
  int ranks = 1;               // of this video, cfg x ulysses
  int nodes = 1;               // that these ranks are on, evenly
  int beside = 0;              // ranks of a node, with those of other videos; 0: only these
  parallel::Options parallel;  // cfg (Auto: as a run finds it) and ulysses (0: what cfg leaves); no others
  offload::Options offload;    // of the DiT
  // For offload type auto: bytes of the device that are free, activations included; nothing: the machine's.
  std::optional<std::size_t> device_bytes{};
};

struct Prediction {
  parallel::CfgMode cfg = parallel::CfgMode::Paired;
  int ulysses = 1;
  offload::StrategyKind type = offload::StrategyKind::None;  // not Auto
  double offload_ratio = 0;                                  // of the blocks; async
  int prefetch_size = 0;                                     // async
  double share = 0;                  // async: of a block's bytes, divided between the ranks of a node
  std::size_t gpu_bytes = 0;         // weights on each device, as the record accounts their peak
  std::size_t node_bytes = 0;        // the host copy, once for each node
  std::size_t activation_bytes = 0;  // on each device, beside the weights
  std::size_t ferried_bytes = 0;     // over each link in a step
  double step_s = 0;                 // = compute_s + exposed_copy_s + exposed_exchange_s
  double compute_s = 0;              // with what copies and gathers beside it cost
  double copy_s = 0;                 // links and gathers busy
  double exchange_s = 0;             // exchanges of attention
  double exposed_copy_s = 0;
  double exposed_exchange_s = 0;
  std::vector<std::string> assumed{};  // rates that it leans on and that nobody measured, by name
  std::vector<std::string> fitted{};   // those that were worked out from whole forwards or runs
};

// Memory of a device of the machine in bytes; on the CPU as cpu_device_bytes() says (worker/job/guidance.h).
std::size_t device_bytes(const MachineRates& machine, const offload::StagePlan& plan, int node_ranks);

// Adds the names of rates that were used to those that the prediction leans on.
void add_uses(Prediction& prediction, const RateUse& use);

// Throws UserError for a cell that a run would refuse: degrees that do not fit the ranks or the heads,
// options of offload/plan.h.
Prediction predict(const Cell& cell, const MachineRates& machine);

// The DiT's plan in a cell, which takes milliseconds to make and is the same for all cells with the same
// offload options and ranks on a node; and the prediction with it.
offload::StagePlan stage_plan(const Cell& cell);
Prediction predict(const Cell& cell, const MachineRates& machine, const offload::StagePlan& plan);

// What offload type auto chooses by: the step of each of the ways of a plan of that type (offload/plan.h).
// Nothing is predicted from rates of another type than the cell computes in.
offload::Forecast forecast(const Cell& cell, const MachineRates& machine, const offload::StagePlan& plan);

}  // namespace ferry::worker
