// One transformer block (wan21.md section 2.7).
//
// Its three parts (self-attention, cross-attention, feed-forward) each begin with a norm, read work.u and
// leave their result there.  The sum that follows a part, x += gate * work.u, is deferred to the next norm,
// which reads x anyway and does both in one kernel; so from the end of a part to the next norm the sum is
// *pending*, and work.u must not be written.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <span>

#include "model/dit/pass.h"

namespace ferry::model {

// A pending x += gate * work.u.
struct PendingSum {
  at::Tensor gate;  // [C] fp32; undefined: 1
};

// Both take the residual stream of each branch, work.x[i] [s, C], through a block, whose weights they
// acquire, and return the sum pending for the next block.  There is none after the last block, nor with
// several branches, which share work.u.

// Block 0.  On entry only work.x[0] is set: up to the first cross-attention the branches are identical, so
// the self-attention is computed once for all.
std::optional<PendingSum> run_first_block(const Pass& pass, std::span<DitContext* const> branches);

// Any other block; `pending` is the result of the previous one.
std::optional<PendingSum> run_block(const Pass& pass, int block, std::span<DitContext* const> branches,
                                    const std::optional<PendingSum>& pending);

}  // namespace ferry::model
