// Measures links at the start of a stage, to predict `auto` values of share and transport and to decide
// interleave.
#pragma once

#include <string>
#include <vector>

#include "offload/arena/arena.h"
#include "offload/options.h"
#include "offload/stage.h"

namespace ferry::offload {

// 1e9 bytes/s and milliseconds; the slowest rank's medians of several tries, except for the last one.
struct LinkFigures {
  double alone_gbps = 0;               // arena -> device, one rank after the other
  double together_gbps = 0;            // per rank, all ranks of a node at once
  std::vector<double> by_rank_gbps{};  // median per rank, by index among the ranks that
                                       // copies; of several nodes the slowest; empty: nodes differ in ranks
  double gather_gbps = 0;              // whole-block bytes per second of gather
  double exchange_ms = 0;              // all-to-all without load
  double exchange_beside_ms = 0;       // all-to-all while every rank copies: the best try, so that other load
                                       // on the node does not count as the copies' doing
  bool by_copies = false;  // all ranks' gathers and exchanges use copies (parallel/node/copy_group.h)
};

// Collective over setup.peers; setup.copy_sharers must be a group of at least two ranks.  Blocks for some
// tens of milliseconds; temporarily allocates device memory and pauses page-locking.
LinkFigures measure_links(NodeArena& arena, double link_gbps, const StageSetup& setup);

// Gated if copies clearly slow an exchange, in every try and by more than chance.  Never if exchanges are
// copies themselves: they use another engine than copies from the host, and gating would only keep the latter
// off their link (docs/results: 1.6 times resident against 1.24 on four H200).
Interleave choose_interleave(const LinkFigures& figures);

std::string to_text(const LinkFigures& figures);

}  // namespace ferry::offload
