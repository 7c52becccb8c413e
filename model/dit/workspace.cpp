#include "model/dit/workspace.h"

#include <algorithm>
#include <array>

#include "model/dit/rope.h"
#include "model/tensor.h"

namespace ferry::model {

namespace {

constexpr std::int64_t kBoxes = 5;  // of a branch: two outboxes, three inboxes

at::Tensor matrix(std::int64_t rows, std::int64_t cols, DType dtype, const Device& device) {
  return empty(std::array{rows, cols}, dtype, device);
}

}  // namespace

bool Workspace::fits(const kernels::Grid& wanted, std::size_t branches) const {
  return x.size() == branches && grid == wanted;
}

at::Tensor Workspace::part(std::int64_t index) const {
  return scratch.narrow(0, index * u.numel(), u.numel()).view(u.sizes());
}

at::Tensor Workspace::box(std::size_t branch, std::int64_t index) const {
  if (branch == 0) return part(1 + index);
  const auto first = (static_cast<std::int64_t>(branch) - 1) * kBoxes;
  return mail.narrow(0, (first + index) * u.numel(), u.numel()).view(u.sizes());
}

at::Tensor Workspace::hidden(std::int64_t ffn_dim) const {
  return scratch.narrow(0, 0, shard.per_rank * ffn_dim).view({shard.per_rank, ffn_dim});
}

Workspace make_workspace(const DitConfig& config, const DitRuntime& runtime, const kernels::Grid& grid,
                         std::size_t branches) {
  const int ranks = runtime.ulysses == nullptr ? 1 : runtime.ulysses->size();
  const int rank = runtime.ulysses == nullptr ? 0 : runtime.ulysses->rank();
  const Device& device = *runtime.device;
  Workspace work;
  work.grid = grid;
  work.shard = parallel::shard_of(grid.tokens(), ranks, rank);
  const std::int64_t rows = work.shard.per_rank;
  work.rope = rope_table(grid, config.head_dim(), work.shard.begin, work.shard.real).to(torch_device(device));
  for (std::size_t i = 0; i < branches; ++i) work.x.push_back(matrix(rows, config.dim, DType::F32, device));
  work.u = matrix(rows, config.dim, runtime.compute, device);
  const std::int64_t parts = ranks == 1 ? 3 : 1 + kBoxes;
  const std::int64_t scratch = rows * std::max(parts * config.dim, config.ffn_dim);
  if (ranks == 1) {
    work.scratch = empty(std::array{scratch}, runtime.compute, device);
    return work;
  }
  const std::int64_t mail = rows * kBoxes * config.dim * (static_cast<std::int64_t>(branches) - 1);
  const auto element = static_cast<std::int64_t>(size_of(runtime.compute));
  work.shared =
      runtime.ulysses->allocate(*runtime.device, static_cast<std::size_t>((scratch + mail) * element));
  work.scratch = view_of(work.shared.data(), std::array{scratch}, std::array<std::int64_t, 1>{1},
                         runtime.compute, device);
  work.mail = view_of(work.shared.data() + scratch * element, std::array{mail},
                      std::array<std::int64_t, 1>{1}, runtime.compute, device);
  return work;
}

}  // namespace ferry::model
