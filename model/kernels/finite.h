// Whether values have stopped being finite.
#pragma once

#include <cstdint>

#include "base/device.h"

namespace ferry::model::kernels {

// Sets *flag to 1 when a value of data [count], fp32 or bf16, is infinite or not a number, and leaves it
// alone otherwise.  `flag` is memory of the device too.  Queued on `stream`, whose device holds both. Throws
// std::invalid_argument for other types.
void flag_not_finite(const void* data, DType dtype, std::int64_t count, std::uint32_t* flag, Stream& stream);

}  // namespace ferry::model::kernels
