#include "model/vae/activations.h"

#include <algorithm>

#include "model/vae/vae.h"

namespace ferry::model {

namespace {

// Rows of pixels that the rank with the longest band holds.
std::int64_t decoded_rows(const VaeConfig& config, const VaeActivations& how) {
  const std::int64_t scale = spatial_scale(config);
  const std::int64_t latent_rows = how.height / scale;
  if (how.ranks == 1 || latent_rows < how.ranks) return how.height;
  // Every convolution's input has two rows more, some at a fraction of the video's size, where a row is as
  // large as 2, 4 or 8 pixel rows: 4 on average over the bytes of what is remembered.
  constexpr std::int64_t kHalo = 4;
  return (latent_rows + how.ranks - 1) / how.ranks * scale + kHalo;
}

}  // namespace

std::size_t activation_bytes(const VaeConfig& config, const VaeActivations& how, DType compute) {
  // In maps of base_dim channels at the video's size.  What is remembered is counted; what lives beside it
  // was measured, in the widest residual block (in the compute type) and in the last convolution (fp32).
  constexpr double kRemembered = 23;
  constexpr double kRememberedByLast = 2;
  constexpr double kInResidual = 14.5;
  constexpr double kInLast = 13;
  const auto map = static_cast<std::size_t>(config.base_dim * how.width * decoded_rows(config, how));
  const auto narrow = static_cast<double>(map * size_of(compute));
  const auto wide = static_cast<double>(map * size_of(DType::F32));
  // With less than 1.04 of that free a decode failed: the allocator's gaps, and kernels that are loaded late.
  constexpr double kMargin = 1.1;
  return static_cast<std::size_t>(kMargin * (kRemembered * narrow + kRememberedByLast * wide +
                                             std::max(kInResidual * narrow, kInLast * wide)));
}

}  // namespace ferry::model
