// One transformer block (wan21.md section 2.7).
#pragma once

#include <ATen/core/Tensor.h>

#include <span>

#include "model/dit/pass.h"

namespace ferry::model {

// What a block leaves to the next: x += work.u * gate, where the gate is defined.
struct Left {
  at::Tensor gate;  // [C] fp32
};

// Takes the residual stream of each branch, work.x[i] [s, C], through block `block`, whose weights it
// acquires.  On entry of block 0 only work.x[0] is set: up to the first cross-attention the branches are the
// same, so block 0 computes its self-attention once for all.  `left` is what the block before returned; the
// last block leaves nothing.
Left run_block(const Pass& pass, int block, std::span<DitContext* const> branches, const Left& left);

}  // namespace ferry::model
