// One cell of a sweep: a setting of which steps are measured.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>

#include "worker/job/options.h"

namespace ferry::launcher {

struct SweepCell {
  int ranks = 1;
  worker::Options options;  // with size and frames
  // What makes the options, key and value in the order in which they are applied: for the ranks.
  worker::Echo settings;
};

// The keys of a grid: [grid] NAME is a list of values of the option `key`, in the order in which cells are
// made, the last changing fastest.  `ranks` is no option.
struct GridKey {
  const char* name;
  const char* key;
};
std::span<const GridKey> grid_keys();

// The cell's values by the names of the grid's keys, in their order.  null: without effect on a step of this
// cell (the transport of `none`, the link of resident weights, interleave where nothing is exchanged, ...),
// so that cells that differ in such a key alone are one.  `guided`: a step has two branches.
nlohmann::ordered_json fields_of(const SweepCell& cell, bool guided);

// Names the cell in FILE and FILE.lock: its fields that have an effect, and its other settings; one line.
std::string name_of(const SweepCell& cell, bool guided);

// For people: "2 ranks, cfg paired, async, full, link 1.5, 192x128, 17 frames".
std::string label_of(const nlohmann::ordered_json& fields);

}  // namespace ferry::launcher
