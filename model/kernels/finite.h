// Detects non-finite values.
#pragma once

#include <cstdint>

#include "base/device.h"

namespace ferry::model::kernels {

// Sets *flag to 1 if a value of data [count], fp32 or bf16, is infinite or NaN, else leaves it unchanged.
// `flag` is device memory too.  Queued on `stream`, whose device holds both.  Throws std::invalid_argument
// for other types.
void flag_not_finite(const void* data, DType dtype, std::int64_t count, std::uint32_t* flag, Stream& stream);

}  // namespace ferry::model::kernels
