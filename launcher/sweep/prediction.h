// Cells of a sweep as the planner sees them, on a machine that need not be here: no ranks, no device.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "launcher/sweep/cell.h"
#include "launcher/sweep/conduct.h"
#include "worker/measure/step_measure.h"
#include "worker/planner/rates.h"

namespace ferry::launcher {

// predicted_step_s and `predicted` (launcher/sweep/row.h) of a cell on one node; empty for one that the
// planner refuses.
nlohmann::ordered_json predicted_fields(const SweepCell& cell, const worker::StepFacts& facts,
                                        const worker::MachineRates& machine);

// The same, with `error` too for what ranks of such a machine would refuse: degrees, options, and what
// exceeds the memory of its devices or nodes (device_gib, host_gib) when nothing else is there.
nlohmann::ordered_json predicted_outcome(const SweepCell& cell, const worker::StepFacts& facts,
                                         const worker::MachineRates& machine);

// A row for each cell: its name and values, predicted_outcome(), the versions of this program; the same bytes
// from each call.  `cells` were planned with predicted_outcome().
std::vector<std::string> prediction_rows(const std::vector<PlannedCell>& cells);

// For people: these rows, as a table.
std::string prediction_table(const std::vector<std::string>& rows);

}  // namespace ferry::launcher
