// The least share of a block (shares.h) whose copies hide behind the computing of one.
//
// Sharing spares links and costs a gather, which takes something from whatever computes beside it; what hides
// without need not be shared.  With share s, L the time of a whole block over the slowest link while all
// copy, A that over all links, each its part, and G that of a whole block's gather:
//
//   over the slowest link   L (1 - s) + A s
//   gather                  s G              in slices, beside the copy of what is shared
//                           s (A + G)        behind it
//
//   A = L/P for even parts of P ranks; for parts as the links are, the bytes / the sum of their speeds
//
// and a block is there after the longer of the two.
#pragma once

#include <cstddef>

namespace ferry::offload {

struct ShareFigures {
  std::size_t block_bytes = 0;  // that a forward brings of a block
  double together_gbps = 0;     // of the slowest link while all copy, 1e9 bytes/s
  double sum_gbps = 0;          // of all of them, where the parts follow the links (parts.h); 0: even parts
  double gather_gbps = 0;       // bytes of a whole block per second of its gather, 1e9 bytes/s
  int ranks = 1;                // that share copies
  bool in_slices = true;        // gathers go by copies (parallel/node/copy_group.h)
};

// Milliseconds until a block is there with that share.
// Throws std::invalid_argument unless the speeds are above 0, but for a sum that is not given, and there is a
// rank.
double block_ms(const ShareFigures& figures, double share);

// Where no share hides behind `compute_ms` of computing, with some room: the one with which a block is there
// soonest.  Share 0 for one rank.  Throws as block_ms() does, and for a time that is negative.
double least_share(const ShareFigures& figures, double compute_ms);

}  // namespace ferry::offload
