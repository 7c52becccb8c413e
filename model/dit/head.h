// The steps after the blocks (wan21.md section 2.10): norm, projection, gather, and back to a latent.
#pragma once

#include <ATen/core/Tensor.h>

#include "model/dit/pass.h"

namespace ferry::model {

// Acquires the tail once and turns each work.x[i] (which it overwrites) into [out_channels, F, h, w] fp32.
std::vector<at::Tensor> run_head(const Pass& pass);

}  // namespace ferry::model
