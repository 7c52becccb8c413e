// One transformer block (wan21.md section 2.7).
#pragma once

#include <span>

#include "model/dit/pass.h"

namespace ferry::model {

// Takes the residual stream of each branch, work.x[i] [s, C], through block `block`, whose weights it
// acquires.  On entry of block 0 only work.x[0] is set: up to the first cross-attention the branches are the
// same, so block 0 computes its self-attention once for all.
void run_block(const Pass& pass, int block, std::span<DitContext* const> branches);

}  // namespace ferry::model
