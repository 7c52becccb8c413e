// The device memory that a decode of the VAE takes beside its weights.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/dtype.h"
#include "model/vae/config.h"

namespace ferry::model {

struct VaeActivations {
  std::int64_t width = 0;  // of the video, pixels
  std::int64_t height = 0;
  int ranks = 1;  // that decode together (model/vae/band.h)
};

// Of one rank: two remembered frames before every causal convolution, and what a chunk of four frames needs
// at its widest.  Proportional to pixels; calibrated on the memory in use at most on a GPU at 480p and 720p,
// in both types (tests/gpu/worker_memory_gpu_test.cpp: a decode works with that much free, and uses nearly
// all).
std::size_t activation_bytes(const VaeConfig& config, const VaeActivations& how, DType compute);

}  // namespace ferry::model
