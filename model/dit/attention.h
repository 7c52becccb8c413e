// Self- and cross-attention of one block (wan21.md sections 2.8, 2.10).
#pragma once

#include "model/dit/pass.h"

namespace ferry::model {

// work.u [s, C] becomes Wo attention(u) + bo.
void self_attention(const Pass& pass, int block);

// With several ranks it is three parts, between which other branches may compute: what one branch has under
// way then hides behind them.
//
//   send_heads      u -> values, keys and queries are on their way, each behind its own projection
//   attend_to_heads waits for them, for others' queries while it attends to its own; then others' results
//                   are on their way back while it attends to the rest of its own (row_plan.h)
//   receive_heads   waits for the results of others; work.u becomes Wo attention(u) + bo
//
// u is free after the first.  `attended` is what the second returned.
void send_heads(const Pass& pass, int block, std::size_t branch);
constexpr int kSends = 3;  // exchanges that it starts
at::Tensor attend_to_heads(const Pass& pass, std::size_t branch);
void receive_heads(const Pass& pass, int block, std::size_t branch, const at::Tensor& attended);

// work.u [s, C] becomes the attention to the prompt; fills `cached` when it is still empty.
void cross_attention(const Pass& pass, int block, const at::Tensor& text, CrossKeyValue& cached);

}  // namespace ferry::model
