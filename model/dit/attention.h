// Self- and cross-attention of one block (wan21.md sections 2.8, 2.10).
#pragma once

#include "model/dit/pass.h"

namespace ferry::model {

// work.u [s, C] becomes Wo attention(u) + bo.  With several ranks the heads are exchanged, v first, then q,
// then k, each behind its own projection and under the next one.
void self_attention(const Pass& pass, int block);

// work.u [s, C] becomes the attention to the prompt; fills `cached` when it is still empty.
void cross_attention(const Pass& pass, int block, const at::Tensor& text, CrossKeyValue& cached);

}  // namespace ferry::model
