// The VAE decoder written down a second time, as plain as possible: the full-sequence formulation of
// wan21.md section 5.5, without chunks, caches or channels-last.
#pragma once

#include <ATen/core/Tensor.h>

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "model/vae/config.h"

namespace ferry::testing {

using Tensors = std::map<std::string, at::Tensor>;  // by official key

// Every key of the whole VAE, encoder too, with its shape: golden_fill() counts positions among all of them.
std::vector<std::pair<std::string, std::vector<int64_t>>> vae_keys(const model::VaeConfig& config);

// Weights of every key, seeded, that keep activations near 1: well conditioned, where the golden fill loses a
// factor of 100 to fp64.
Tensors random_weights(const model::VaeConfig& config);

// A configuration with Wan2.1's latent statistics, cut or repeated to z_dim values.
model::VaeConfig vae_config_of(int64_t base_dim, std::vector<int64_t> dim_mult,
                               std::vector<bool> temporal_down, int64_t res_blocks, int64_t z_dim = 16);

// latent [z_dim, T, h, w] to frames [3, F, H, W], computed in `type`.
at::Tensor reference_decode(const model::VaeConfig& config, const Tensors& weights, const at::Tensor& latent,
                            at::ScalarType type);

}  // namespace ferry::testing
