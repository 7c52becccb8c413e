// The least share of a block (shares.h) at which its copies hide behind the computation of a block.
//
// Sharing relieves the links but costs a gather, which slows concurrent computation; copies that hide without
// it should not be shared.  With share s, L the time of a whole block over the slowest link while all copy, A
// that over all links, each its part, and G that of a whole block's gather:
//
//   over the slowest link   L (1 - s) + A s
//   gather                  s G              in slices, concurrent with the shared copies
//                           s (A + G)        after them
//
//   A = L/P for even parts of P ranks; for parts as the links are, the bytes / the sum of their speeds
//
// and a block is ready after the longer of the two.
#pragma once

#include <cstddef>

namespace ferry::offload {

struct ShareFigures {
  std::size_t block_bytes = 0;  // bytes that a forward copies per block
  double together_gbps = 0;     // speed of the slowest link while all copy, 1e9 bytes/s
  double sum_gbps = 0;          // sum of the speeds if the parts follow the links (parts.h); 0: even parts
  double gather_gbps = 0;       // bytes of a whole block per second of its gather, 1e9 bytes/s
  int ranks = 1;                // ranks that share copies
  bool in_slices = true;        // gathers use copies (parallel/node/copy_group.h)
};

// Milliseconds until a block is ready with that share.
// Throws std::invalid_argument unless together_gbps and gather_gbps are positive, sum_gbps is not negative,
// and there is a rank.
double block_ms(const ShareFigures& figures, double share);

// The least share that hides behind `compute_ms` of computation, with some margin; if none does, the share
// with which a block is ready soonest.  Share 0 for one rank.  Throws as block_ms() does, and for a negative
// time.
double least_share(const ShareFigures& figures, double compute_ms);

}  // namespace ferry::offload
