// parallel.cfg = auto: how the two guidance branches share the ranks.
#pragma once

#include <cstddef>
#include <string>

#include "parallel/options.h"

namespace ferry::parallel {

// What decides.  The mode is also the Ulysses degree, and so the last bits of the result: nothing here may
// change from run to run on the same machines, no timing and no free memory.
struct CfgCase {
  Options options{};            // `ulysses` and `data` as they were given; `cfg` is not looked at
  int ranks = 1;                // of the world
  int heads = 1;                // of the model's attention
  bool guided = true;           // there are two branches
  std::size_t bytes = 0;        // of weights and activations on a rank, were each branch on half of the ranks
  std::size_t total_bytes = 0;  // of device memory, of the rank that has the least
};

struct CfgChoice {
  CfgMode mode = CfgMode::Paired;  // not Auto
  std::string why;
};

// Parallel where all ranks cannot share one sequence (heads, a given `ulysses`); also where `bytes` fit and
// the heads go more evenly on half of the ranks, or the ranks are so few that this is faster; else Paired.
CfgChoice choose_cfg(const CfgCase& on);

const char* name_of(CfgMode mode);  // as in the option

}  // namespace ferry::parallel
