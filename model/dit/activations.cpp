#include "model/dit/activations.h"

#include <algorithm>

#include "parallel/ulysses.h"

namespace ferry::model {

namespace {

constexpr std::int64_t kLocalParts = 3;  // values, queries, keys of one rank

std::size_t bytes_of(std::int64_t elements, DType dtype) {
  return static_cast<std::size_t>(elements) * size_of(dtype);
}

}  // namespace

WorkspaceSize workspace_size(const DitConfig& config, std::int64_t tokens, int ranks, std::int64_t branches) {
  const parallel::Shard shard = parallel::shard_of(tokens, ranks, 0);
  const std::int64_t part = shard.per_rank * config.dim;
  const std::int64_t hidden = shard.per_rank * config.ffn_dim;
  WorkspaceSize size{.x = part * branches, .u = part};
  if (ranks == 1) {
    size.scratch = std::max(kLocalParts * part, hidden);
    return size;
  }
  size.inbox = shard.padded * parallel::HeadSplit(config.heads, ranks).most() * config.head_dim();
  size.boxes = kOutboxes * part + kInboxes * size.inbox;
  size.scratch = std::max(part + size.boxes, hidden);
  size.mail = size.boxes * (branches - 1);
  return size;
}

std::size_t activation_bytes(const DitConfig& config, const DitActivations& how, DType compute) {
  const auto& [channels, frames, height, width] = how.latent;
  const std::int64_t tokens = frames * height * width / 4;
  const WorkspaceSize work = workspace_size(config, tokens, how.ulysses, how.branches);
  // All tokens, heads of the rank with the most.
  const std::int64_t padded = parallel::shard_of(tokens, how.ulysses, 0).padded;
  const std::int64_t most = parallel::HeadSplit(config.heads, how.ulysses).most();
  const std::int64_t attended = padded * most * config.head_dim();
  // With several ranks each branch has its own, and LibTorch's kernels return a result that is copied into it
  // (kernels::Attention::into).
  const std::int64_t attention = how.ulysses == 1 ? attended : attended * (how.branches + 1);
  // Attention kernels store the log-sum-exp of each query and head.
  const std::int64_t sums = padded * most;
  const std::int64_t caches = how.contexts * config.layers * 2 * config.text_len * config.dim;
  // Noise, sample, the sampler's history and each branch's velocity.
  const std::int64_t latents = channels * frames * height * width * (6 + 2 * how.branches);
  return bytes_of(work.x + latents + sums, DType::F32) +
         bytes_of(work.u + work.scratch + work.mail + attention + caches, compute);
}

}  // namespace ferry::model
