// Self- and cross-attention of one block (wan21.md sections 2.8, 2.10).
#pragma once

#include "model/dit/pass.h"

namespace ferry::model {

// work.u [s, C] becomes Wo attention(u) + bo.
void self_attention(const Pass& pass, int block);

// With several ranks it has three parts, between which other branches may compute to hide this branch's
// exchanges.
//
//   send_heads      projects u and sends values, keys and queries, each right after its projection
//   attend_to_heads waits for them, for others' queries while it attends to its own; then sends others'
//                   results back while it attends to the rest of its own (row_plan.h)
//   receive_heads   waits for the others' results; work.u becomes Wo attention(u) + bo
//
// u may be overwritten after the first.  `attended` is the result of the second.
void send_heads(const Pass& pass, int block, std::size_t branch);
constexpr int kSends = 3;  // exchanges started by send_heads
at::Tensor attend_to_heads(const Pass& pass, std::size_t branch);
void receive_heads(const Pass& pass, int block, std::size_t branch, const at::Tensor& attended);

// work.u [s, C] becomes the attention to the prompt; fills `cached` if empty.
void cross_attention(const Pass& pass, int block, const at::Tensor& text, CrossKeyValue& cached);

}  // namespace ferry::model
