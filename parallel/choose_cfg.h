// Resolves parallel.cfg = auto: how the two guidance branches share the ranks.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "parallel/options.h"

namespace ferry::parallel {

// Inputs of the choice.  The mode is also the Ulysses degree, and so decides the last bits of the result:
// nothing here may vary between runs on the same nodes, such as timings or free memory.
struct CfgCase {
  Options options{};            // `ulysses` and `data` as given; `cfg` is ignored
  int ranks = 1;                // of the world
  std::vector<int> nodes{};     // node of each rank; empty: one for all
  int heads = 1;                // attention heads of the model
  bool guided = true;           // two branches
  std::size_t bytes = 0;        // of weights and activations per rank, with each branch on half of the ranks
  std::size_t total_bytes = 0;  // device memory of the rank that has the least
};

struct CfgChoice {
  CfgMode mode = CfgMode::Paired;  // not Auto
  std::string why;
};

// Parallel if all ranks cannot share one sequence (heads, a given `ulysses`), or if `bytes` fit and less goes
// over the network in halves, the heads divide more evenly on half of the ranks, or the ranks are so few that
// this is faster; else Paired.
CfgChoice choose_cfg(const CfgCase& on);

}  // namespace ferry::parallel
