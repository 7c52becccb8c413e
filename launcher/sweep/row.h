// Rows of a sweep: one JSON object for each cell.
//
//   cell             its name (launcher/sweep/cell.h)
//   model ranks size frames attention cfg ulysses type transport interleave offload_ratio
//   prefetch_size link_gbps    its values; null: without effect on this cell
//   step_s           median of `samples_s`, the seconds of each timed step on the slowest rank;
//                    step_least_s, step_most_s, step_spread = (most - least) / median
//   exposed_copy_s, exposed_exchange_s    medians: compute waited for weights, for activations of others
//   ferried_bytes, copy_gbps    over the busiest link in a step, and its speed while busy
//   gpu_bytes        most device memory of a rank for weights, as accounted; activations_bytes: beside them
//   node_bytes       the weights' copy of a node; host_peak_bytes: most of one process
//   video_steps, gpu_s_per_video    steps of a video, and ranks x steps x step_s: sampling alone
//   used             what was chosen where the cell leaves it open, and what offloading did
//   predicted_step_s, predicted    with --machine, made (prediction.h) before the cell ran: the step, and the
//                    planner's cfg, type, offload_ratio, prefetch_size (of auto what it chooses), gpu_bytes,
//                    node_bytes, activation_bytes, compute_s, exposed_copy_s, exposed_exchange_s and
//                    `assumed` and `fitted`, the rates that nobody measured as such
//   error            why there is no step_s
//   versions topology clocks time
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "launcher/sweep/cell.h"
#include "worker/measure/step_measure.h"

namespace ferry::launcher {

// The fields from step_s to used.
nlohmann::ordered_json measured_fields(const worker::StepResult& result, int ranks);

// The whole row, one line: `fields` of the cell, then `outcome`, which has step_s or error.
std::string row_of(const std::string& cell, const nlohmann::ordered_json& fields,
                   const nlohmann::ordered_json& outcome);

// For people: the rows of these cells, as a table.
std::string table_of(const std::vector<std::string>& rows);

}  // namespace ferry::launcher
