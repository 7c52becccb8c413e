#include "worker/job/activations.h"

#include <algorithm>

#include "model/vae/vae.h"
#include "parallel/ulysses.h"

namespace ferry::worker {
namespace {

std::size_t bytes_of(std::int64_t elements, DType dtype) {
  return static_cast<std::size_t>(elements) * size_of(dtype);
}

// Rows of pixels that the rank with the longest band holds.
std::int64_t decoded_rows(const model::VaeConfig& config, const Job& job, int ranks) {
  const std::int64_t scale = model::spatial_scale(config);
  const std::int64_t latent_rows = job.height / scale;
  if (ranks == 1 || latent_rows < ranks) return job.height;
  // Every convolution's input has two rows more, some at a fraction of the video's size, where a row is as
  // large as 2, 4 or 8 pixel rows: 4 on average over the bytes of what is remembered.
  constexpr std::int64_t kHalo = 4;
  return (latent_rows + ranks - 1) / ranks * scale + kHalo;
}

}  // namespace

DitActivations dit_activations(const Options& options, const Job& job, const parallel::Mesh& mesh) {
  const int branches = job.guided() && mesh.cfg == 1 ? 2 : 1;
  const bool serial = options.parallel.cfg == parallel::CfgMode::Serial;
  return {.ulysses = mesh.ulysses, .branches = serial ? 1 : branches, .contexts = branches};
}

std::size_t activation_bytes(const model::DitConfig& config, const Job& job, const DitActivations& how,
                             DType compute) {
  const auto& [channels, frames, height, width] = job.latent_shape;
  const parallel::Shard shard = parallel::shard_of(frames * height * width / 4, how.ulysses, 0);
  const std::int64_t part = shard.per_rank * config.dim;
  // All tokens of the heads of the rank with the most.
  const std::int64_t most = parallel::HeadSplit(config.heads, how.ulysses).most();
  const std::int64_t attended = shard.padded * most * config.head_dim();
  const std::int64_t residual = part * how.branches;
  // Of a branch of several ranks: where its exchanges leave and arrive.
  const std::int64_t boxes = 2 * part + 3 * attended;
  const std::int64_t parts = how.ulysses == 1 ? 3 * part : part + boxes;
  // A kernel of LibTorch gives several ranks a result that is copied into the output
  // (kernels::Attention::into).
  const std::int64_t copied = how.ulysses == 1 ? 0 : attended;
  // Each further branch of several ranks also has its attention's output.
  const std::int64_t mail = how.ulysses == 1 ? 0 : (boxes + attended) * (how.branches - 1);
  // u, the parts or the hidden rows, the attention's output.
  const std::int64_t scratch =
      part + attended + copied + std::max(parts, shard.per_rank * config.ffn_dim) + mail;
  // The log-sum-exp that attention kernels keep of each query and head.
  const std::int64_t sums = shard.padded * most;
  const std::int64_t caches = how.contexts * config.layers * 2 * config.text_len * config.dim;
  // Noise, sample, the sampler's history and each branch's velocity.
  const std::int64_t latents = channels * frames * height * width * (6 + 2 * how.branches);
  return bytes_of(residual + latents + sums, DType::F32) + bytes_of(scratch + caches, compute);
}

int decoding_ranks(const Options& options, const parallel::Mesh& mesh) {
  return options.parallel.split_vae ? mesh.cfg * mesh.ulysses : 1;
}

std::size_t activation_bytes(const model::VaeConfig& config, const Job& job, int ranks, DType compute) {
  // In maps of base_dim channels at the video's size.  What is remembered is counted; what lives beside it
  // was measured, in the widest residual block (in the compute type) and in the last convolution (fp32).
  constexpr double kRemembered = 23;
  constexpr double kRememberedByLast = 2;
  constexpr double kInResidual = 14.5;
  constexpr double kInLast = 13;
  const std::int64_t map = config.base_dim * job.width * decoded_rows(config, job, ranks);
  const auto narrow = static_cast<double>(bytes_of(map, compute));
  const auto wide = static_cast<double>(bytes_of(map, DType::F32));
  // With less than 1.04 of that free a decode failed: the allocator's gaps, and kernels that are loaded late.
  constexpr double kMargin = 1.1;
  return static_cast<std::size_t>(kMargin * (kRemembered * narrow + kRememberedByLast * wide +
                                             std::max(kInResidual * narrow, kInLast * wide)));
}

std::size_t activation_bytes(const model::Umt5Config& config, DType compute) {
  const std::int64_t scores = config.heads * config.text_len * config.text_len * 3;
  return bytes_of(scores, DType::F32) +
         bytes_of(config.text_len * (6 * config.dim + 3 * config.ffn_dim + 4 * config.attn_dim), compute);
}

}  // namespace ferry::worker
