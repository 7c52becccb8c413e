// Dimensions of the Wan2.1 VAE (wan21.md section 5).
#pragma once

#include <cstdint>
#include <vector>

namespace ferry::model {

struct VaeConfig {
  std::int64_t base_dim = 96;
  std::int64_t z_dim = 16;
  std::vector<std::int64_t> dim_mult = {1, 2, 4, 4};
  std::int64_t res_blocks = 2;                            // per encoder stage; a decoder stage has one more
  std::vector<bool> temporal_down = {false, true, true};  // per encoder down-sampling
  std::vector<double> latents_mean;                       // z_dim values
  std::vector<double> latents_std;

  friend bool operator==(const VaeConfig&, const VaeConfig&) = default;
};

// Wan2.1's own latent statistics (16 values each).
const std::vector<double>& wan21_latents_mean();
const std::vector<double>& wan21_latents_std();

}  // namespace ferry::model
