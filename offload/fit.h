// What was given for all stages, made to suit the network of one, and the plan that this makes.
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

// Where a stage runs.
struct StageRanks {
  int node_size = 1;   // ranks of this node that share its weights
  bool alone = false;  // one of several ranks computes, the others wait
  bool gated = true;   // its exchanges are told to a gate (parallel/exchange_gate.h): the DiT's are
};

// A value that is in options.shared and does not suit the network is changed: a prefetch_size above the
// number of blocks to that, a computation_dtype to the network's, kinds of module_map that it has not are
// left out, on a rank alone transport is full and share 0, there and where no exchange is gated interleave is
// free, a vram_limit below the least of the stage's type becomes that.  Of a transport and a share that
// contradict each other the one that was given for all stages becomes auto.  Only what the stage's type looks
// at is changed.
//
// Throws UserError for the same in a value of the stage's own, for a share that contradicts the transport
// where both were given alike, and for options that are wrong for every network.
Fitted fit(const model::NetworkSpec& spec, const Options& options, const StageRanks& ranks);

}  // namespace ferry::offload
