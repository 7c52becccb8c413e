// The activations of a forward, allocated once per shape.
//
//   x        [s, C] fp32 per branch      the residual stream
//   u        [s, C] compute              what a linear reads, and later what the last linear of a part wrote
//   scratch  max(parts * s * C, s * F)   parts of [s, C], or the feed-forward's hidden [s, F]
//
//   parts, one rank   0 v    1 q    2 k
//
// Of several ranks each branch has its boxes, those of the first in scratch behind one part for a projection,
// those of the others in mail.  Both lie in memory of the group, which can receive copies there, and each box
// is at the same place on every rank: an inbox has room for the rank with the most heads, h_0.
//
//   outboxes  2 of [s, C]           packed tokens (parallel/ulysses.h), before and after attention
//   inboxes   3 of [S, h_0 * D]     v, q, k of this rank's heads; q with this rank's own tokens last
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "model/dit/dit.h"
#include "model/dit/row_plan.h"
#include "model/kernels/element.h"
#include "parallel/ulysses.h"

namespace ferry::model {

struct Workspace {
  kernels::Grid grid;
  parallel::Shard shard;
  at::Tensor rope;    // kernels::rms_norm_rope's table for this rank's real tokens, on the device
  at::Tensor places;  // [H, 3] on the device: kernels::HeadPlace of each head; undefined with one rank
  std::vector<at::Tensor> x;
  at::Tensor u;
  DeviceMemory shared;  // with several ranks: holds scratch and mail
  at::Tensor scratch;
  at::Tensor mail;

  bool fits(const kernels::Grid& wanted, std::size_t branches) const;
  at::Tensor part(std::int64_t index) const;                           // [s, C]
  at::Tensor outbox(std::size_t branch, std::int64_t index) const;     // 0, 1: [s, C]
  at::Tensor inbox(std::size_t branch, std::int64_t index) const;      // 0, 1, 2: [S, this rank's heads * D]
  at::Tensor own_piece(std::size_t branch, std::int64_t index) const;  // of an outbox: [s, width]
  at::Tensor hidden(std::int64_t ffn_dim) const;                       // [s, F]

  RowPlan rows;               // of attention
  std::int64_t own_head = 0;  // the first of this rank's heads
  std::int64_t width = 0;     // of this rank's heads, elements
  std::int64_t widest = 0;    // of the heads of the rank with the most

 private:
  at::Tensor boxes(std::size_t branch) const;
};

Workspace make_workspace(const DitConfig& config, const DitRuntime& runtime, const kernels::Grid& grid,
                         std::size_t branches);

}  // namespace ferry::model
