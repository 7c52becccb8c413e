// Rates of what a block computes: products, attention, and the elementwise kernels between them.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "bench/probe.h"
#include "model/dit/config.h"
#include "worker/planner/rates.h"

namespace ferry::bench {

// Shapes to measure: a few, on each side of what is asked about later.
struct RateShapes {
  model::DitConfig dit;                    // width, heads and layers of the block that is timed whole
  std::vector<model::DitConfig> others{};  // whose products and attention are measured too
  std::vector<std::int64_t> rows;
  std::vector<std::int64_t> tokens;  // of attention
  std::int64_t pass_rows = 512;
  std::int64_t width = 320;  // of the video of that block, pixels
  std::int64_t height = 192;
  std::int64_t frames = 9;
};
RateShapes rate_shapes(bool gpu);

// Random values, reused as weights and activations.
at::Tensor random_pool(const Probe& probe, std::int64_t elements);

std::vector<worker::LinearRate> linear_rates(const Probe& probe, const RateShapes& shapes);
std::vector<worker::AttentionRate> attention_rates(const Probe& probe, const RateShapes& shapes);
// pass_gbps, by the kernels of one block without ranks beside it.
worker::Rate pass_rate(const Probe& probe, const RateShapes& shapes);

// Products for about a quarter of a second, or one that takes longer; for measuring what slows computing.
// Collective over the probe's ranks.
std::function<void()> compute_load(const Probe& probe, const RateShapes& shapes);

inline worker::Rate measured(double value) {
  return {.value = value, .source = worker::RateSource::Measured};
}

inline worker::Rate fitted(double value) { return {.value = value, .source = worker::RateSource::Fitted}; }

}  // namespace ferry::bench
