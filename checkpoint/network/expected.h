// All tensors of a complete checkpoint, by official name and shape (wan21.md sections 3, 4.6, 5.9), from a
// configuration.  Includes the VAE encoder, which no network of Ferry uses yet.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "model/dit/config.h"
#include "model/text/config.h"
#include "model/vae/config.h"

namespace ferry::checkpoint {

// Distribution with which make_model fills a tensor.
enum class Fill : std::uint8_t {
  Weight,      // normal, standard deviation gain / sqrt(fan_in)
  Bias,        // normal, small
  Scale,       // 1 + normal, small
  Modulation,  // normal, small
  Embedding,   // normal
};

struct ExpectedTensor {
  std::string key;
  std::vector<std::int64_t> shape;
  Fill fill = Fill::Weight;
  double gain = 1.0;  // of Fill::Weight: below 1 for outputs into a residual stream
};

std::vector<ExpectedTensor> expected_dit(const model::DitConfig& config);
std::vector<ExpectedTensor> expected_vae(const model::VaeConfig& config);
std::vector<ExpectedTensor> expected_umt5(const model::Umt5Config& config);

}  // namespace ferry::checkpoint
