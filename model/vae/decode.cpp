#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/tensor.h>

#include <array>
#include <exception>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include "model/tensor.h"
#include "model/torch_stream.h"
#include "model/vae/host_pool.h"
#include "model/vae/layers.h"
#include "model/vae/vae.h"

namespace ferry::model {

namespace {

using vae::Chunk;
using vae::Unit;

void check(const VaeConfig& config) {
  const auto z = static_cast<std::size_t>(config.z_dim);
  if (config.latents_mean.size() != z || config.latents_std.size() != z) {
    throw std::invalid_argument("VAE: " + std::to_string(config.latents_mean.size()) + " means and " +
                                std::to_string(config.latents_std.size()) + " deviations for " +
                                std::to_string(z) + " latent channels");
  }
}

void check(const VaeConfig& config, const at::Tensor& latent) {
  const std::array<std::int64_t, 4> shape = {config.z_dim, -1, -1, -1};
  require(latent, DType::F32, shape, "VAE latent");
  if (latent.numel() == 0) throw std::invalid_argument("VAE: the latent is empty");
}

// z / s + mean with s = fp32(1 / std): a division as in the reference, for equal bits.
//   returns frames [T, h, w, z_dim]
at::Tensor denormalise(const VaeConfig& config, const at::Tensor& latent) {
  std::vector<float> scale;
  std::vector<float> mean;
  for (const double deviation : config.latents_std) scale.push_back(1.0F / static_cast<float>(deviation));
  for (const double value : config.latents_mean) mean.push_back(static_cast<float>(value));
  const auto on_device = [&](const std::vector<float>& values) {
    return at::tensor(values, at::kFloat).to(latent.device(), /*non_blocking=*/true);
  };
  return (latent.permute({1, 2, 3, 0}) / on_device(scale) + on_device(mean)).contiguous();
}

// Decodes latent frames [1, h, w, z_dim] to video frames [3, f, H, W].
at::Tensor decode_chunk(const Chunk& chunk, std::span<const Unit> units, const at::Tensor& latent,
                        const VaeRuntime& runtime) {
  const auto show = [&](std::string_view name, int block, const at::Tensor& value) {
    if (runtime.tap) runtime.tap(name, block, value);
  };
  show("latent", ModuleId::kHead, latent);
  at::Tensor x = vae::pointwise(chunk, id_of(VaeHead::ConvLatent), latent);
  x = vae::causal_conv(chunk, id_of(VaeHead::ConvIn), x.to(scalar_type(runtime.compute)));
  show("conv_in", ModuleId::kHead, x);
  for (int block = 0; const Unit& unit : units) {
    const BlockScope scope(chunk.weights, block);
    x = vae::run_unit(chunk, block, unit, std::move(x));
    show("block", block, x);
    ++block;
  }
  x = vae::norm_silu_conv(chunk, id_of(VaeTail::Norm), id_of(VaeTail::ConvOut), std::move(x), DType::F32);
  show("head", ModuleId::kTail, x);
  return x.permute({3, 0, 1, 2});
}

}  // namespace

VaeDecoder::VaeDecoder(const VaeConfig& config, Weights& weights, VaeRuntime runtime)
    : config_(config), weights_(weights), runtime_(std::move(runtime)), units_(vae::decoder_units(config)) {
  check(config);
}

void VaeDecoder::decode(const at::Tensor& latent, const FrameSink& sink) {
  check(config_, latent);
  const TorchStream stream(*runtime_.device);
  std::optional<vae::HostPool> pool;
  if (runtime_.device->type() == DeviceType::Cpu) pool.emplace();

  const vae::Band band = vae::band_of(runtime_.group, latent.size(2));
  const at::Tensor z = denormalise(config_, latent.narrow(2, band.begin, band.rows));
  vae::CausalCache cache;
  std::int64_t frame = 0;
  for (std::int64_t t = 0; t < z.size(0); ++t) {
    const Chunk chunk = {weights_, cache, *runtime_.device, band, t == 0, t + 1 == z.size(0)};
    at::Tensor frames;
    {
      PassScope pass(weights_, {.kind = t == 0 ? "decode.first" : "decode.next"});
      try {
        frames = decode_chunk(chunk, units_, z.narrow(0, t, 1), runtime_).contiguous();
      } catch (const std::exception& error) {
        if (runtime_.failed) runtime_.failed(error);
        throw;
      }
      pass.end();
    }
    sink(frame, frames);
    frame += frames.size(1);
  }
}

}  // namespace ferry::model
