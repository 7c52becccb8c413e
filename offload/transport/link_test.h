// A short measurement at the start of a stage: what share and transport `auto` are predicted from, and
// interleave `auto` is decided by.
#pragma once

#include <string>
#include <vector>

#include "offload/arena/arena.h"
#include "offload/options.h"
#include "offload/stage.h"

namespace ferry::offload {

// 1e9 bytes/s and milliseconds; the slowest rank's medians of several tries, but for the last.
struct LinkFigures {
  double alone_gbps = 0;               // arena -> device, one rank after the other
  double together_gbps = 0;            // all ranks of a node at once, each
  std::vector<double> by_rank_gbps{};  // of that each rank's median, by its place among those that share
                                       // copies; of several nodes the slowest; empty: nodes differ in ranks
  double gather_gbps = 0;              // bytes of a whole block per second of its gather
  double exchange_ms = 0;              // an all-to-all alone
  double exchange_beside_ms = 0;  // the same while every rank copies: the best try, so that what else runs
                                  // on the node does not count as the copies' doing
  bool by_copies = false;         // gathers and exchanges of all go by copies (parallel/node/copy_group.h)
};

// Collective over setup.peers; setup.copy_sharers is a group of at least two ranks.  Blocks for some tens of
// milliseconds; takes device memory for the while, in which nobody page-locks.
LinkFigures measure_links(NodeArena& arena, double link_gbps, const StageSetup& setup);

// Gated when copies clearly slow an exchange, every time it was tried and by more than chance would.  Never
// where exchanges are copies themselves: those take another engine than copies from the host, which gating
// would only keep from their link (docs/results: 1.6 times resident against 1.24 on four H200).
Interleave choose_interleave(const LinkFigures& figures);

std::string to_text(const LinkFigures& figures);

}  // namespace ferry::offload
