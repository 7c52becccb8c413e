// Measures DiT steps under offloading against the same step on resident weights, alternating.
//
// A variant has a bound, max(compute, link).  For async, `compute` is the step on resident weights while the
// same bytes are copied at the same speed into unused memory; for the others it is the resident step alone.
// `link` is the bytes of one step over the link's speed: the cap (link_gbps), or the speed of unloaded copies
// from the arena.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "model/dit/dit.h"
#include "offload/stage.h"

namespace ferry::bench {

struct OffloadCase {
  model::DitConfig config;
  std::int64_t width = 416;  // pixels, a multiple of 16
  std::int64_t height = 240;
  std::int64_t frames = 17;  // 1 + a multiple of 4
  int branches = 2;          // guidance branches of a step: 1 or 2
  bool paired = true;        // two branches in one forward, else in two
  std::vector<offload::Options> variants;
  int samples = 5;
};

struct OffloadResult {
  std::string device;
  int ranks = 1;
  offload::Options options;
  offload::Report report;
  std::vector<double> step_seconds;     // one per sample
  std::vector<double> compute_seconds;  // with the same traffic, right before the step of the same index
  std::vector<double> alone_seconds;    // on resident weights without traffic, in the same round
  std::vector<double> exposed_seconds;  // part of the step in which compute waited for weights
  double bytes_per_step = 0;            // over this rank's link
  double link_gbps = 0;                 // 1e9 bytes/s: the cap, or the unloaded speed of the link
  double link_seconds = 0;              // bytes_per_step / link_gbps
  double copy_gbps = 0;                 // 1e9 bytes/s while the link was busy; 0 if nothing was ferried
  std::size_t peak_bytes = 0;           // accounted device bytes of the stage

  // From medians.  Without traffic, the bound is the resident step.
  double bound_seconds() const;
  double step_over_bound() const;
  double step_over_resident() const;
};

// Runs the resident step and the variants in turn, `samples` rounds; each sample follows a step that brings
// it to its steady state.  `arena` holds dit_spec(what.config, runtime.compute).  Collective over setup.peers
// and the Ulysses group.  Throws as make_stage does; Error if a variant's result differs in a bit from that
// of the resident weights.
std::vector<OffloadResult> measure_offload(const OffloadCase& what, offload::NodeArena& arena,
                                           const offload::StageSetup& setup,
                                           const model::DitRuntime& runtime);

// One JSON line.
std::string to_json(const OffloadCase& what, const OffloadResult& result);

}  // namespace ferry::bench
