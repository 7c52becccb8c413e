// The least share of a block (shares.h) whose copies hide behind the computing of one.
//
// Sharing spares links and costs a gather, which takes something from whatever computes beside it; what hides
// without need not be shared.  With share s of P ranks, L the time of a whole block over each link while all
// copy, G that of a whole block's gather:
//
//   over each link   L (1 - s (1 - 1/P))
//   gather           s G              in slices, beside the copy of what is shared
//                    s (L/P + G)      behind it
//
// and a block is there after the longer of the two.
#pragma once

#include <cstddef>

namespace ferry::offload {

struct ShareFigures {
  std::size_t block_bytes = 0;  // that a forward brings of a block
  double together_gbps = 0;     // of each rank's link while all copy, 1e9 bytes/s
  double gather_gbps = 0;       // bytes of a whole block per second of its gather, 1e9 bytes/s
  double compute_ms = 0;        // of a block
  int ranks = 1;                // that share copies
  bool in_slices = true;        // gathers go by copies (parallel/copy_group.h)
};

struct LeastShare {
  double share = 0;
  double block_ms = 0;  // until a block is there
  bool hides = false;   // behind compute_ms, with some room
};

// Where no share hides: the one with which a block is there soonest.  Share 0 for one rank.
// Throws std::invalid_argument unless the speeds are above 0, the time is not negative and there is a rank.
LeastShare least_share(const ShareFigures& figures);

}  // namespace ferry::offload
