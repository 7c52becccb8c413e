// Pays for what only a first forward costs, while the weights are still on their way.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <vector>

#include "worker/stages/stages.h"

namespace ferry::worker {

// Two steps of a DiT of two blocks with the job's shapes, over weights of its own: libraries load their
// kernels, attention makes its plan, the ranks' communicators connect.  It takes the device memory of the
// job's activations and of one block, the head and the tail, and holds none of it when it returns.  But where
// the device has room for all weights and twice `activation_bytes`, which a step takes, LibTorch keeps what
// the first step will ask it for: page-locking keeps other threads out of the driver.
// Waits for the device.  Collective over the world.
void warm_up(const StageInput& input, const std::vector<at::Tensor>& contexts, const at::Tensor& noise,
             std::size_t activation_bytes);

// Bytes: whether it makes no difference what LibTorch keeps of a step, not even to offload type auto, which
// takes the activations off what is free, of which that is a part (offload/make_stage.cpp).
bool has_plenty(std::size_t weights, std::size_t activations, std::size_t free);

// The decoding of the job's first two latent frames, over weights of its own, by the ranks that decode: takes
// the device memory that decoding takes, and gives it back.  Waits for the device.  Collective over the
// world.
void warm_up_decoding(const StageInput& input);

}  // namespace ferry::worker
