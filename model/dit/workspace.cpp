#include "model/dit/workspace.h"

#include <ATen/ops/empty.h>

#include <array>

#include "model/dit/rope.h"
#include "model/kernels/attention.h"
#include "model/tensor.h"

namespace ferry::model {

using parallel::ExchangeSlot;

namespace {

at::Tensor matrix(std::int64_t rows, std::int64_t cols, DType dtype, const Device& device) {
  return empty(std::array{rows, cols}, dtype, device);
}

at::Tensor places_of(const parallel::HeadSplit& split, const Device& device) {
  const at::Tensor places = at::empty({split.heads(), 3}, at::kInt);
  std::int32_t* row = places.data_ptr<std::int32_t>();
  for (int rank = 0; rank < split.ranks(); ++rank) {
    const Part heads = split.of(rank);
    for (std::int64_t i = 0; i < heads.count; ++i, row += 3) {
      row[0] = static_cast<std::int32_t>(heads.begin);
      row[1] = static_cast<std::int32_t>(heads.count);
      row[2] = static_cast<std::int32_t>(i);
    }
  }
  return places.to(torch_device(device));
}

}  // namespace

bool Workspace::fits(const kernels::Grid& wanted, std::size_t branches) const {
  return x.size() == branches && grid == wanted;
}

at::Tensor Workspace::part(std::int64_t index) const {
  return scratch.narrow(0, index * size.u, size.u).view(u.sizes());
}

at::Tensor Workspace::projected() const { return part(0); }
at::Tensor Workspace::values() const { return part(0); }
at::Tensor Workspace::queries() const { return part(1); }
at::Tensor Workspace::keys() const { return part(2); }

// The first branch's boxes follow the projection buffer.
at::Tensor Workspace::boxes(std::size_t branch) const {
  if (branch == 0) return scratch.narrow(0, size.u, size.boxes);
  return mail.narrow(0, (static_cast<std::int64_t>(branch) - 1) * size.boxes, size.boxes);
}

at::Tensor Workspace::outbox(std::int64_t index, std::size_t branch) const {
  return boxes(branch).narrow(0, index * size.u, size.u).view(u.sizes());
}

at::Tensor Workspace::outbox(ExchangeSlot slot, std::size_t branch) const {
  return outbox(slot == ExchangeSlot::Key ? 1 : 0, branch);
}

at::Tensor Workspace::inbox(ExchangeSlot slot, std::size_t branch) const {
  if (slot == ExchangeSlot::Back) return outbox(ExchangeSlot::Key, branch);
  const std::int64_t begin = kOutboxes * size.u + static_cast<std::int64_t>(slot) * size.inbox;
  return boxes(branch).narrow(0, begin, shard.padded * width).view({shard.padded, width});
}

at::Tensor Workspace::own_queries(std::size_t branch) const {
  const std::int64_t head_dim = u.size(1) / places.size(0);
  const std::int64_t begin = own_head * head_dim * shard.per_rank;
  return outbox(ExchangeSlot::Query, branch)
      .view(-1)
      .narrow(0, begin, shard.per_rank * width)
      .view({shard.per_rank, width});
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
  work.size = workspace_size(config, grid.tokens(), ranks, static_cast<std::int64_t>(branches));
  const std::int64_t rows = work.shard.per_rank;
  work.rope = rope_table(grid, config.head_dim(), work.shard.begin, work.shard.real).to(torch_device(device));
  for (std::size_t i = 0; i < branches; ++i) work.x.push_back(matrix(rows, config.dim, DType::F32, device));
  work.u = matrix(rows, config.dim, runtime.compute, device);
  const WorkspaceSize& size = work.size;
  if (ranks == 1) {
    work.scratch = empty(std::array{size.scratch}, runtime.compute, device);
    return work;
  }
  const parallel::HeadSplit split(config.heads, ranks);
  work.places = places_of(split, device);
  work.own_head = split.of(rank).begin;
  work.rows = plan_rows({.rows = work.shard.padded,
                         .own = rows,
                         .heads = split.of(rank).count,
                         .tiles = kernels::tiles_at_once(device)});
  work.width = split.of(rank).count * config.head_dim();
  const auto element = static_cast<std::int64_t>(size_of(runtime.compute));
  work.shared = runtime.ulysses->allocate(*runtime.device,
                                          static_cast<std::size_t>((size.scratch + size.mail) * element));
  work.scratch = view_of(work.shared.data(), std::array{size.scratch}, std::array<std::int64_t, 1>{1},
                         runtime.compute, device);
  work.mail = view_of(work.shared.data() + size.scratch * element, std::array{size.mail},
                      std::array<std::int64_t, 1>{1}, runtime.compute, device);
  return work;
}

}  // namespace ferry::model
