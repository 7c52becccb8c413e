// The units of the decoder, on the frames [t, h, w, channels] of one chunk; if ranks share the frames, h is
// this rank's rows.
#pragma once

#include <ATen/core/Tensor.h>

#include "base/device.h"
#include "model/vae/band.h"
#include "model/vae/causal_cache.h"
#include "model/vae/units.h"
#include "model/weights.h"

namespace ferry::model::vae {

// Everything needed to decode a chunk.
struct Chunk {
  Weights& weights;
  CausalCache& cache;
  Device& device;
  const Band& band;
  bool first = false;  // the first latent frame: no past, no doubling in time
  bool last = false;   // no frames follow: nothing to cache
};

// Norm and SiLU (`norm`), then the causal 3x3x3 convolution (`conv`), whose input has type `dtype`.  Releases
// `x` before the convolution.
at::Tensor norm_silu_conv(const Chunk& chunk, ModuleId norm, ModuleId conv, at::Tensor x, DType dtype);

// A causal 3x3x3 convolution.
at::Tensor causal_conv(const Chunk& chunk, ModuleId conv, const at::Tensor& x);

// A 1x1(x1) convolution.
at::Tensor pointwise(const Chunk& chunk, ModuleId conv, const at::Tensor& x);

// Runs unit `block` of the decoder, whose weights must be acquired.  Consumes `x`: the result may be made in
// it.
at::Tensor run_unit(const Chunk& chunk, int block, const Unit& unit, at::Tensor x);

}  // namespace ferry::model::vae
