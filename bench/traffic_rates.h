// Rates of what moves: copies from the host, exchanges and gathers between ranks, and what computing loses
// beside them.
#pragma once

#include "bench/compute_rates.h"

namespace ferry::bench {

// Fills link_gbps, copy_loss, and with several ranks exchange_s, exchange_gbps, gather_gbps and gather_loss;
// with one rank these get values that are not used, marked as assumed.
void measure_traffic(const Probe& probe, const RateShapes& shapes, worker::RankRates& rates);

// Seconds that an all-to-all of `bytes` takes, of which a rank keeps its own piece.
double exchange_seconds(const Probe& probe, std::size_t bytes);

}  // namespace ferry::bench
