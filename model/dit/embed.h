// The embeddings before the blocks: patches, time and text (wan21.md sections 2.3 to 2.5).
#pragma once

#include <ATen/core/Tensor.h>

#include "model/dit/dit.h"
#include "model/dit/workspace.h"

namespace ferry::model {

struct TimeEmbedding {
  at::Tensor e;   // [1, C] fp32, for the head
  at::Tensor e0;  // [6, C] fp32, for the blocks
};

// Computed in fp32, the sinusoid in fp64.
TimeEmbedding embed_time(const DitConfig& config, Weights& weights, const DitRuntime& runtime,
                         double timestep);

// Writes this rank's tokens of `latent` to work.x[0]: values of the compute type, held as fp32; padding rows
// are zero.  Uses work.u.
void embed_patches(const DitConfig& config, Weights& weights, const DitRuntime& runtime,
                   const Workspace& work, const at::Tensor& latent);

// Applies the text MLP to [Lt, text_dim], zero-padded to text_len rows; returns [text_len, C] of the compute
// type.
at::Tensor embed_text(const DitConfig& config, Weights& weights, const DitRuntime& runtime,
                      const at::Tensor& context);

}  // namespace ferry::model
