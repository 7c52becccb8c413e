// What measurements of single rates share: the ranks that measure at the same time, and a clock.
#pragma once

#include <functional>

#include "base/device.h"
#include "base/dtype.h"
#include "model/kernels/attention.h"
#include "parallel/group.h"

namespace ferry::bench {

struct Probe {
  Device& device;
  DType compute = DType::BF16;
  model::kernels::Attention attention{};
  int samples = 5;  // of each figure
  int ranks = 1;
  parallel::Group* group = nullptr;         // of these ranks, for exchanges and gathers; nullptr: one rank
  Stream* traffic_stream = nullptr;         // theirs
  std::function<void()> meet{};             // the ranks begin at the same time; empty: one rank
  std::function<double(double)> slowest{};  // the largest of the ranks' values; empty: one rank
};

// The median of probe.samples runs of `work`, behind one that is not counted, each begun by all ranks
// together and timed until the compute stream is through; of the slowest rank.  Collective over the probe's
// ranks.
double seconds_of(const Probe& probe, const std::function<void()>& work);

// Of this rank alone, in the same way.
double own_seconds_of(const Probe& probe, const std::function<void()>& work);

}  // namespace ferry::bench
