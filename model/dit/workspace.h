// The activations of a forward, allocated once per shape.
//
//   x        [s, C] fp32 per branch      the residual stream
//   u        [s, C] compute              input of the next linear, and output of a part's last linear
//   scratch  used by the parts of a block in turn
//
//     one rank        | values | queries | keys |          of local attention, [s, C] each
//     several ranks   | projected | boxes of branch 0 |
//     both            | hidden |                           of the feed-forward, [s, F]
//
//   mail     | boxes of branch 1 | boxes of branch 2 | ...
//   boxes    | outbox 0 | outbox 1 | inbox of values | of queries | of keys |
//
// With several ranks scratch and mail are in group memory, which can receive copies, and each box is at the
// same place on every rank: an inbox has room for the rank with the most heads.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "model/dit/activations.h"
#include "model/dit/dit.h"
#include "model/dit/row_plan.h"
#include "model/kernels/element.h"
#include "parallel/exchange.h"
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

  // Views of scratch and mail.
  at::Tensor projected() const;                   // [s, C], output of a projection
  at::Tensor hidden(std::int64_t ffn_dim) const;  // [s, F]

  // One rank only, [s, C].
  at::Tensor values() const;
  at::Tensor queries() const;
  at::Tensor keys() const;

  // With several ranks, what an exchange sends, [s, C] packed (parallel/ulysses.h), and what it receives,
  // [S, this rank's heads * D].  Queries share the outbox of the values.  What comes back is received as it
  // was sent, into the outbox of the keys; it has none of its own.
  at::Tensor outbox(parallel::ExchangeSlot slot, std::size_t branch) const;
  at::Tensor inbox(parallel::ExchangeSlot slot, std::size_t branch) const;
  // What of the queries' outbox this rank keeps: [s, this rank's heads * D].
  at::Tensor own_queries(std::size_t branch) const;

  RowPlan rows;               // of attention
  std::int64_t own_head = 0;  // first of this rank's heads
  std::int64_t width = 0;     // elements of this rank's heads
  WorkspaceSize size;

 private:
  at::Tensor part(std::int64_t index) const;  // part of scratch, [s, C]
  at::Tensor boxes(std::size_t branch) const;
  at::Tensor outbox(std::int64_t index, std::size_t branch) const;
};

Workspace make_workspace(const DitConfig& config, const DitRuntime& runtime, const kernels::Grid& grid,
                         std::size_t branches);

}  // namespace ferry::model
