// Reads the grid of `ferry bench sweep`: a .cfg file (launcher/options/config_text.h) with the group [grid].
//
//   [grid]
//   ranks = 1, 2               each key is a list; every combination is a cell
//   type  = none, async
//   [model]
//   path = Wan2.1-T2V-1.3B     other groups hold for all cells
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "launcher/options/flag.h"
#include "launcher/options/options.h"
#include "launcher/sweep/cell.h"

namespace ferry::launcher {

// The options that a grid file and the command line may set beside [grid]: model, parallel, offload,
// attention, of the job size and sampling, of the run deadline and log level.
std::vector<FlagGroup> sweep_keys(worker::Options& options);

// What a grid's models may be: folders that are there, or also names of models without files (dit_by_name(),
// worker/planner/shapes.h).
enum class Models : std::uint8_t { Folders, FoldersAndNames };

// The cells of the grid in `path`, in order, none twice in spelling; those of one model and number of ranks
// are consecutive.  `line`: the command's, whose other settings override the file's.
// Throws UserError in one line: what .cfg files are refused for, no or an empty list, a value that its key
// does not take, a key both in [grid] and beside it, no model or one that is not there, more than kMostCells
// cells.
std::vector<SweepCell> read_grid(const std::string& path, const std::vector<Setting>& line,
                                 Models models = Models::Folders);

inline constexpr std::size_t kMostCells = 10000;

// The options that `settings`, key and value, make; of keys that sweep_keys() has.
worker::Options options_of(const worker::Echo& settings);

}  // namespace ferry::launcher
