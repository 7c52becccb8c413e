// The ranks of a sweep: they measure the cells that the first one reads, until there are no more.
#pragma once

#include <string>

#include "launcher/sweep/cell.h"
#include "worker/job/options.h"

namespace ferry::launcher {

struct SweepCounts {
  int warmups = 3;
  int samples = 5;
};

inline constexpr const char* kRanksAreReady = "ready";

// A cell as one line that the first rank reads.
std::string line_for_ranks(const SweepCell& cell, const SweepCounts& counts);

// Starts MPI.  The first rank reads cells from standard input and answers on standard output, a JSON object a
// line: the first cell with kRanksAreReady, once each rank has its device, and each one behind it, which may
// be the same, with what was measured (launcher/sweep/row.h), or with `error` where all ranks have refused
// the cell alike or its values stopped being finite.  Any other failure ends the job.  Returns the exit code.
int run_sweep_ranks(int& argc, char**& argv, const worker::RunOptions& run);

}  // namespace ferry::launcher
