// Measures a machine's rates (worker/planner/rates.h), with made-up weights; no model is read.
#pragma once

#include "bench/probe.h"
#include "worker/planner/rates.h"

namespace ferry::bench {

// The section of that many ranks.  Collective over the probe's ranks, which have the same result.
worker::RankRates measure_rank_rates(const Probe& probe);

// The rest, by one rank on all of its node's cores; `init_s` is how long it took until here.  by_ranks stays
// empty.
worker::MachineRates measure_machine(const Probe& probe, double init_s);

}  // namespace ferry::bench
