// Pays for what only a first forward costs, while the weights are still on their way.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "worker/stages.h"

namespace ferry::worker {

// One step of a DiT of one layer with the job's shapes, over weights of its own: libraries load their
// kernels, attention makes its plan, the ranks' communicators connect.  Nothing of it stays but that: its
// device memory, less than the denoising takes, is given back.  Waits for the device.  Collective over the
// world.
void warm_up(const StageInput& input, const std::vector<at::Tensor>& contexts, const at::Tensor& noise);

}  // namespace ferry::worker
