#include "worker/activations.h"

#include <algorithm>

#include "parallel/ulysses.h"

namespace ferry::worker {
namespace {

std::size_t bytes_of(std::int64_t elements, DType dtype) {
  return static_cast<std::size_t>(elements) * size_of(dtype);
}

}  // namespace

DitActivations dit_activations(const Options& options, const Job& job, const parallel::Mesh& mesh) {
  const parallel::CfgMode mode = options.parallel.cfg;
  const int guided = job.guided() ? 2 : 1;
  return {.ulysses = mesh.ulysses,
          .branches = mode == parallel::CfgMode::Paired ? guided : 1,
          .contexts = mode == parallel::CfgMode::Parallel ? 1 : guided};
}

std::size_t activation_bytes(const model::DitConfig& config, const Job& job, const DitActivations& how,
                             DType compute) {
  const auto& [channels, frames, height, width] = job.latent_shape;
  const std::int64_t rows = parallel::shard_of(frames * height * width / 4, how.ulysses, 0).per_rank;
  const std::int64_t parts = how.ulysses == 1 ? 3 : 6;
  const std::int64_t residual = rows * config.dim * how.branches;
  // u, the parts or the hidden rows, the attention's output.
  const std::int64_t scratch = rows * (2 * config.dim + std::max(parts * config.dim, config.ffn_dim));
  const std::int64_t caches = how.contexts * config.layers * 2 * config.text_len * config.dim;
  // Noise, sample, the sampler's history and each branch's velocity.
  const std::int64_t latents = channels * frames * height * width * (6 + 2 * how.branches);
  return bytes_of(residual + latents, DType::F32) + bytes_of(scratch + caches, compute);
}

std::size_t activation_bytes(const model::VaeConfig& config, const Job& job, DType compute) {
  // At base_dim 96 about 25 maps of full size remembered, and four chunks of four frames alive.
  constexpr std::int64_t kMapsPerPixel = 25 + 4 * 4;
  return bytes_of(kMapsPerPixel * config.base_dim * job.width * job.height, compute);
}

std::size_t activation_bytes(const model::Umt5Config& config, DType compute) {
  const std::int64_t scores = config.heads * config.text_len * config.text_len * 3;
  return bytes_of(scores, DType::F32) +
         bytes_of(config.text_len * (6 * config.dim + 3 * config.ffn_dim + 4 * config.attn_dim), compute);
}

}  // namespace ferry::worker
