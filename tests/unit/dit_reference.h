// The DiT of wan21.md section 2 spelled out with LibTorch's own operations, one per line of the text: no
// shards, no fused kernels, no in-place work.
#pragma once

#include <ATen/core/Tensor.h>

#include "model/dit/config.h"
#include "model/weights.h"

namespace ferry::testing {

// latent [C, F, h, w] fp32, context [Lt, text_dim]; the result is fp32.  The precision profile is the one of
// the weights (model::dit_spec).
at::Tensor reference_dit(const model::DitConfig& config, model::Weights& weights, const at::Tensor& latent,
                         double timestep, const at::Tensor& context);

}  // namespace ferry::testing
