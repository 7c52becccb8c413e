#pragma once

#include "base/dtype.h"

namespace ferry {

// True for floating-point types that need no scale tensor, unlike fp8.
constexpr bool is_unscaled_float(DType dtype) {
  return dtype == DType::F64 || dtype == DType::F32 || dtype == DType::F16 || dtype == DType::BF16;
}

}  // namespace ferry
