// What offloading did in one stage, for the log, the record and the benchmarks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "offload/options.h"

namespace ferry::offload {

struct Report {
  std::string stage;                       // "dit"
  StrategyKind type = StrategyKind::None;  // what was decided, never Auto
  std::string type_why;                    // how, where the plan was to decide it; else empty
  Transport transport = Transport::Full;
  double share = 0;           // of a block, divided between the ranks of a node: what is in force
  std::vector<double> parts;  // the sizes of the ranks' parts of it beside each other; empty: all alike
  bool share_settled = true;  // false: passes are still compared (share_trials.h)
  std::string share_why;      // what they showed; empty where the share was stated or there was no choice
  Interleave interleave = Interleave::Free;
  int blocks = 0;
  int offloaded = 0;  // blocks that are ferried each pass
  int slots = 0;
  std::string host_memory;     // "memfd", "mpi window", "private"
  std::size_t host_bytes = 0;  // of the node's copy
  std::size_t huge_bytes = 0;  // of these on pages of 2 MiB, as this rank sees them
  bool pinned = false;

  std::uint64_t passes = 0;
  std::uint64_t copied_once_bytes = 0;  // host to device, outside of passes: residents, whole stages
  std::uint64_t ferried_bytes = 0;      // host to device over this rank's link, for passes
  std::uint64_t gathered_bytes = 0;     // received from the other ranks of the node
  std::uint64_t skipped_bytes = 0;      // not ferried because no pass needed them again
  // Times of the device's events.  sequential copies on the compute stream: all of it is exposed, with casts.
  double copy_ms = 0;                       // the link was busy with ferried bytes
  double exposed_copy_ms = 0;               // the compute stream waited for weights
  std::vector<double> exposed_ms_by_block;  // mean of one pass, by ferried block (sequential: every block)
  std::vector<double> exposed_ms_by_pass;   // each pass over the blocks, in order
  std::uint64_t promotions = 0;             // sequential: modules that moved to state keep
  std::uint64_t demotions = 0;
};

// What was done after `before`, an earlier report of the same strategy, or one that is empty; what was
// decided and what there is stays as in `now`.
Report since(const Report& before, Report now);

}  // namespace ferry::offload
