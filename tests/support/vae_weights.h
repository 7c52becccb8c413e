// The decoder of a model folder's VAE, its weights simply in memory; latents for it, and how far two decodes
// are apart.
#pragma once

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/mean.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/upsample_trilinear3d.h>

#include <cmath>
#include <memory>
#include <string>

#include "checkpoint/checkpoint.h"
#include "model/vae/vae.h"
#include "tests/support/plain_weights.h"

namespace ferry::testing {

struct VaeFolder {
  // Throws UserError.
  VaeFolder(const std::string& folder, DType compute, at::Device device = at::kCPU) {
    const auto checkpoint = checkpoint::Checkpoint::open(folder, checkpoint::Part::Vae);
    config = checkpoint::vae_config(checkpoint);
    const model::NetworkSpec spec = model::vae_decoder_spec(config, compute);
    checkpoint::validate(checkpoint, spec);
    const auto read = [&](const model::TensorSpec& tensor) {
      const at::Tensor value = at::empty(tensor.shape, at::kFloat);
      model::TensorSpec plain = tensor;
      plain.dtype = DType::F32;
      plain.layout = model::Layout::Contiguous;
      checkpoint::read_tensor(*checkpoint.find(tensor.key), plain,
                              static_cast<std::byte*>(value.mutable_data_ptr()));
      return value;
    };
    weights = std::make_unique<PlainWeights>(spec, read, device);
  }

  model::VaeConfig config;
  std::unique_ptr<PlainWeights> weights;
};

// Smooth latents, like those of videos, [channels, 3, 12, 20]: noise on a quarter of the grid, enlarged.
inline at::Tensor smooth_latent(std::int64_t channels) {
  auto generator = at::detail::createCPUGenerator(7);
  const at::Tensor small = at::randn({1, channels, 2, 3, 5}, generator, at::kFloat) * 1.5;
  return at::upsample_trilinear3d(small, {3, 12, 20}, /*align_corners=*/false)[0];
}

// Of frames, whose range is 2, from -1 to 1: 45 dB is a root mean square error of 0.0112, or 1.4 of 255.
inline double psnr_db(const at::Tensor& found, const at::Tensor& wanted) {
  const at::Tensor difference = found.clamp(-1, 1) - wanted.clamp(-1, 1);
  return 10 * std::log10(4 / difference.square().mean().item<double>());
}

}  // namespace ferry::testing
