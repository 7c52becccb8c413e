// Does the one-time work of a first forward while the weights are still loading.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <vector>

#include "worker/stages/stages.h"

namespace ferry::worker {

// Runs two steps of a DiT of two blocks with the job's shapes, over made-up weights: libraries load their
// kernels, attention makes its plan, the ranks' communicators connect.  Needs device memory for the job's
// activations, one block, the head and the tail, and frees it before returning.  If the device has room for
// all weights and twice `activation_bytes`, the need of a step, LibTorch keeps the memory for the first step,
// since page-locking blocks other threads from the driver.
// Blocks until the device is done.  Collective over the world.
void warm_up(const StageInput& input, const std::vector<at::Tensor>& contexts, const at::Tensor& noise,
             std::size_t activation_bytes);

// In bytes; true if the memory that LibTorch keeps of a step makes no difference, not even to offload type
// auto, which subtracts the activations from the free memory, of which that is a part
// (offload/make_stage.cpp).
bool has_plenty(std::size_t weights, std::size_t activations, std::size_t free);

// Decodes the job's first two latent frames over made-up weights, on the ranks that decode; needs the device
// memory of decoding, and frees it.  Blocks until the device is done.  Collective over the world.
void warm_up_decoding(const StageInput& input);

}  // namespace ferry::worker
