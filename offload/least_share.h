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
  int ranks = 1;                // that share copies
  bool in_slices = true;        // gathers go by copies (parallel/copy_group.h)
};

// Milliseconds until a block is there with that share.
// Throws std::invalid_argument unless the speeds are above 0 and there is a rank.
double block_ms(const ShareFigures& figures, double share);

// Where no share hides behind `compute_ms` of computing, with some room: the one with which a block is there
// soonest.  Share 0 for one rank.  Throws as block_ms() does, and for a time that is negative.
double least_share(const ShareFigures& figures, double compute_ms);

}  // namespace ferry::offload
