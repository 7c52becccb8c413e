// One transformer block (wan21.md section 2.7).
#pragma once

#include <ATen/core/Tensor.h>

#include <span>

#include "model/dit/pass.h"

namespace ferry::model {

// The last sum of a block, which the next one's first norm makes on its way: x += work.u * gate.  None where
// the gate is undefined.
struct DeferredSum {
  at::Tensor gate;  // [C] fp32
};

// Takes the residual stream of each branch, work.x[i] [s, C], through block `block`, whose weights it
// acquires.  On entry of block 0 only work.x[0] is set: up to the first cross-attention the branches are the
// same, so block 0 computes its self-attention once for all.  `deferred` is what the block before returned;
// the last block defers nothing.
DeferredSum run_block(const Pass& pass, int block, std::span<DitContext* const> branches,
                      const DeferredSum& deferred);

}  // namespace ferry::model
