// What two blocks of a DiT take as a whole, beyond what their products, attention and kernels take by
// themselves, and how much of their exchanges computing waits for.
#pragma once

#include "bench/compute_rates.h"

namespace ferry::bench {

// Fills block_s, and with several ranks exchange_exposed, from forwards of random weights; the other rates of
// `rates` must be there.  Collective over the probe's ranks.
void measure_blocks(const Probe& probe, const RateShapes& shapes, worker::RankRates& rates);

}  // namespace ferry::bench
