// ferry::convert on a GPU.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>

#include "base/dtype.h"

namespace ferry {

// dst[i] = src[i] in another floating-point type, bit for bit as ferry::convert does it, for `count`
// elements of device memory, each side aligned to its element.  Queued on `stream`.
// Throws std::invalid_argument for a pair of types that ferry::convert refuses; returns the launch's error.
cudaError_t cast_on_device(void* dst, DType dst_type, const void* src, DType src_type, std::size_t count,
                           cudaStream_t stream);

}  // namespace ferry
