// The activations of a forward, allocated once per shape.
//
//   x        [s, C] fp32 per branch      the residual stream
//   u        [s, C] compute              what a linear reads, and later what the last linear of a part wrote
//   scratch  max(parts * s * C, s * F)   parts of [s, C], or the feed-forward's hidden [s, F]
//
//   parts, one rank         0 v      1 q         2 k
//   parts, several ranks    0 a projection    1, 2 outboxes of the exchange    3, 4, 5 inboxes: v, q, k
//   mail, several ranks     5 * s * C for each further branch: its own outboxes and inboxes
//
// With several ranks scratch and mail lie in memory of the group, which can receive copies there.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "model/dit/dit.h"
#include "model/kernels/element.h"
#include "parallel/ulysses.h"

namespace ferry::model {

struct Workspace {
  kernels::Grid grid;
  parallel::Shard shard;
  at::Tensor rope;  // kernels::rms_norm_rope's table for this rank's real tokens, on the device
  std::vector<at::Tensor> x;
  at::Tensor u;
  DeviceMemory shared;  // with several ranks: holds scratch and mail
  at::Tensor scratch;
  at::Tensor mail;

  bool fits(const kernels::Grid& wanted, std::size_t branches) const;
  at::Tensor part(std::int64_t index) const;  // [s, C]
  // Where a branch's exchanges leave from and arrive, [s, C] each.
  at::Tensor outbox(std::size_t branch, std::int64_t index) const { return box(branch, index); }  // 0, 1
  at::Tensor inbox(std::size_t branch, std::int64_t index) const {
    return box(branch, 2 + index);
  }                                               // 0, 1, 2
  at::Tensor hidden(std::int64_t ffn_dim) const;  // [s, F]

 private:
  at::Tensor box(std::size_t branch, std::int64_t index) const;
};

Workspace make_workspace(const DitConfig& config, const DitRuntime& runtime, const kernels::Grid& grid,
                         std::size_t branches);

}  // namespace ferry::model
