#pragma once

#include "base/dtype.h"

namespace ferry {

// The floating-point types that need no scales beside them, as fp8 does.
constexpr bool is_unscaled_float(DType dtype) {
  return dtype == DType::F64 || dtype == DType::F32 || dtype == DType::F16 || dtype == DType::BF16;
}

}  // namespace ferry
