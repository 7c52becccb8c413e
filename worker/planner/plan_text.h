// Plans as a table for people, and as one JSON object.
#pragma once

#include <string>

#include "worker/planner/planner.h"

namespace ferry::worker {

// The recommended plan with the options that ask for it, then one row for each way, fastest first, at most
// `rows`; what is assumed or not counted at the end.
std::string plan_table(const Plans& plans, const ModelShapes& model, const MachineRates& machine, int rows);

// {"model", "machine", "job", "assumed", "fitted", "notes", "recommended": {...}, "most_videos": {...},
// "plans": [...]}; assumed and fitted are those of the recommended plan.
std::string plan_json(const Plans& plans, const ModelShapes& model, const MachineRates& machine);

}  // namespace ferry::worker
