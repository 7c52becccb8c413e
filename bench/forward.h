// Measures a DiT forward against its matrix products and attention alone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "model/dit/dit.h"

namespace ferry::bench {

struct ForwardCase {
  model::DitConfig config;
  std::int64_t width = 416;  // pixels, a multiple of 16
  std::int64_t height = 240;
  std::int64_t frames = 17;  // 1 + a multiple of 4
  int branches = 1;          // guidance branches per forward
  int warmups = 1;
  int samples = 5;
  // optional; called once, after the first forward.
  std::function<void()> after_first;
};

struct ForwardResult {
  ForwardCase measured;
  DType compute = DType::BF16;
  std::string device;
  int ranks = 1;
  int threads = 0;
  std::int64_t tokens = 0;
  double tflop = 0;                     // one forward on all ranks, by wan21.md section 9.3
  std::vector<double> forward_seconds;  // one per sample
  // The library alone on the same shapes, weights and threads, each sample right after the forward of the
  // same index: all linears of the blocks with at::linear, then all attentions; nothing in between.
  std::vector<double> linear_seconds;
  std::vector<double> attention_seconds;
};

// Keeps the larger floor per sample of `result` and `other`, which another rank measured at the same time:
// ranks wait for the slowest.
void take_slower_floor(ForwardResult& result, const ForwardResult& other);

// Forwards a random latent with `weights` (of dit_spec(config, runtime.compute)): `warmups` times, then
// `samples` times, alternating with the floor.  With a Ulysses group, collective over it; each rank measures
// itself.  Runs on the device's compute stream and waits for it.
// Throws std::invalid_argument for a size that is not a whole number of patches or frames, Error if the
// result is not finite.
ForwardResult measure_forward(const ForwardCase& what, model::Weights& weights,
                              const model::DitRuntime& runtime);

// One line: the case, medians, spread ((max - min) / median), the ratio to the floor.
std::string to_json(const ForwardResult& result);

}  // namespace ferry::bench
