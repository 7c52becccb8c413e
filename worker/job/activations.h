// Device memory that the stages' activations take, beside the weights: for choosing a strategy (offload type
// auto) and for the plan that rank 0 prints.
#pragma once

#include <cstddef>

#include "base/dtype.h"
#include "model/dit/config.h"
#include "model/text/config.h"
#include "model/vae/config.h"
#include "parallel/mesh.h"
#include "worker/job/job.h"
#include "worker/job/options.h"

namespace ferry::worker {

// Of one rank's forward: model/dit/workspace.h, the attention's output, the caches of cross-attention keys
// and values, and the latents.  `branches` run through each block together; each has its own caches.
struct DitActivations {
  int ulysses = 1;   // ranks that share the tokens
  int branches = 2;  // guidance branches in one forward
  int contexts = 2;  // guidance branches whose keys and values this rank keeps
};
DitActivations dit_activations(const Options& options, const Job& job, const parallel::Mesh& mesh);
std::size_t activation_bytes(const model::DitConfig& config, const Job& job, const DitActivations& how,
                             DType compute);

// Ranks that share the rows of a decode's frames; 1: the first decodes alone.
int decoding_ranks(const Options& options, const parallel::Mesh& mesh);

// Of one of `ranks` that decode together: two remembered frames before every causal convolution, and what a
// chunk of four frames needs at its widest.  Proportional to pixels; calibrated on the memory in use at most
// on a GPU at 480p and 720p, in both types (tests/gpu/worker_memory_gpu_test.cpp: a decode works with that
// much free, and uses nearly all).
std::size_t activation_bytes(const model::VaeConfig& config, const Job& job, int ranks, DType compute);

// Of one prompt of full length: the score matrix with its position biases, and the widest hidden rows.
std::size_t activation_bytes(const model::Umt5Config& config, DType compute);

}  // namespace ferry::worker
