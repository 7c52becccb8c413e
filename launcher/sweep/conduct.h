// Runs a sweep: claims one cell after another, starts the ranks that measure it and writes its row.
//
//   this process                            mpirun
//   ├─ claims a cell (sweep_file.h)         └─ ranks (ranks.h): those of one model and number of ranks stay
//   for ├─ tells the first rank (talk.h)  ───>     one cell after another └─ appends the row
//   <────────────────────  the answer
//
// A cell in which the ranks fail gets ranks of its own once more, unless it had fresh ones; then its row has
// their last words.  Ranks that do not start (no mpirun, no GPU, fewer GPUs than ranks) say nothing of a
// cell: those of their number are left, without rows, for another try or another machine.
#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "launcher/sweep/cell.h"
#include "launcher/sweep/ranks.h"
#include "launcher/sweep/sweep_file.h"
#include "worker/measure/step_measure.h"

namespace ferry::launcher {

// A cell with all that is known before it runs.
struct PlannedCell {
  SweepCell cell;
  std::string name;
  nlohmann::ordered_json fields;
  std::string impossible;  // why no ranks can measure it; empty: they can
  nlohmann::ordered_json predicted = nlohmann::ordered_json::object();  // fields of its row; may be empty
};

// The fields of a row that are predicted for a cell: predicted_step_s and `predicted` (launcher/sweep/row.h).
using Predict = std::function<nlohmann::ordered_json(const SweepCell&, const worker::StepFacts&)>;

// Plans the cells: reads the headers of their models, finds the impossible ones, and leaves out those that
// differ from an earlier one only in a key without effect.
std::vector<PlannedCell> plan_sweep(std::vector<SweepCell> cells, const Predict& predict = {});

// Runs those that have no row in `file`.  Returns the exit code: 0 when all of them have one, or other
// processes are measuring the rest; 1 when ranks did not start; worker::kRequeueExit after SIGTERM or
// SIGUSR1, 128 + n after another signal: the same command goes on.  Throws SystemError if rows cannot be
// written.
int run_sweep(const std::vector<PlannedCell>& cells, SweepFile& file, const SweepCounts& counts);

}  // namespace ferry::launcher
