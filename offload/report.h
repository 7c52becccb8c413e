// Report of offloading in one stage, for the log, the record and the benchmarks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "offload/options.h"

namespace ferry::offload {

struct Report {
  std::string stage;                       // "dit"
  StrategyKind type = StrategyKind::None;  // the resolved type, never Auto
  std::string type_why;                    // why, if the type was auto; else empty
  double predicted_step_s = 0;             // by which auto chose; 0: by memory, or it was not auto
  Transport transport = Transport::Full;
  double share = 0;           // fraction of a block divided between the ranks of a node; current value
  std::vector<double> parts;  // relative sizes of the ranks' parts; empty: even
  bool share_settled = true;  // false: passes are still compared (share_trials.h)
  std::string share_why;  // result of the comparison; empty if the share was stated or there was no choice
  Interleave interleave = Interleave::Free;
  int blocks = 0;
  int offloaded = 0;  // blocks ferried in each pass
  int slots = 0;
  std::string host_memory;     // "memfd", "mpi window", "private"
  std::size_t host_bytes = 0;  // size of the node's copy
  std::size_t huge_bytes = 0;  // part of it on 2 MiB pages, as seen by this rank
  bool pinned = false;

  std::uint64_t passes = 0;
  std::uint64_t copied_once_bytes = 0;  // host to device, outside passes: residents, whole stages
  std::uint64_t ferried_bytes = 0;      // host to device over this rank's link, for passes
  std::uint64_t gathered_bytes = 0;     // received from other ranks of the node
  std::uint64_t skipped_bytes = 0;      // not ferried because no longer needed
  // Times from device events. sequential copies on the compute stream: all of it, with casts, is exposed.
  double copy_ms = 0;                       // link busy with ferried bytes
  double exposed_copy_ms = 0;               // compute stream waiting for weights
  std::vector<double> exposed_ms_by_block;  // mean per pass, by ferried block (sequential: every block)
  std::vector<double> exposed_ms_by_pass;   // each pass over the blocks, in order
  std::uint64_t promotions = 0;             // sequential: modules that moved to state keep
  std::uint64_t demotions = 0;
};

// Statistics since `before`, an earlier report of the same strategy or an empty one; decisions and current
// state are those of `now`.
Report since(const Report& before, Report now);

}  // namespace ferry::offload
