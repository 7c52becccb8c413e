// GELU in its tanh approximation, as the feed-forward and text networks use it (wan21.md section 2.7).
#pragma once

#include <cstdint>

#include "base/device.h"

namespace ferry::model::kernels {

// data [count], fp32 or bf16, becomes 0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))): fp32 inside, rounded
// once.  Queued on `stream`, whose device holds the memory.  Throws std::invalid_argument for other types.
void gelu_tanh(void* data, DType dtype, std::int64_t count, Stream& stream);

}  // namespace ferry::model::kernels
