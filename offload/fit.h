// Adapts options given for all stages to one network, and makes its plan.
#pragma once

#include <string>
#include <vector>

#include "model/weights.h"
#include "offload/options.h"
#include "offload/plan.h"

namespace ferry::offload {

struct Fitted {
  Options options;
  StagePlan plan;                    // of these
  std::vector<std::string> changes;  // "vae.offload.prefetch_size: 100 becomes 4, ..."
};

// The ranks of a stage.
struct StageRanks {
  int node_size = 1;   // ranks of this node that share its weights
  bool alone = false;  // one of several ranks computes, the others wait
  bool gated = true;   // its exchanges notify a gate (parallel/exchange_gate.h), as the DiT's do
};

// Adapts values in options.shared that do not suit the network: a prefetch_size above the number of blocks
// becomes that number, a computation_dtype the network's, kinds of module_map that the network lacks are
// dropped, on a rank alone transport becomes full and share 0, there and without gated exchanges interleave
// becomes free, a vram_limit below the least of the stage's type becomes that.  If transport and share
// contradict each other, the one given for all stages becomes auto.  Only values used by the stage's type are
// changed.
//
// Throws UserError for the same faults in a value of the stage's own, for a share that contradicts the
// transport if both were given at the same level, and for options that are wrong for every network.
Fitted fit(const model::NetworkSpec& spec, const Options& options, const StageRanks& ranks);

}  // namespace ferry::offload
