// Dispatch from run-time element types to template parameters.
#pragma once

#include <stdexcept>
#include <string>

#include "base/dtype.h"
#include "model/kernels/element.h"

namespace ferry::model::kernels {

// Calls body(T{}) with T = float or Bf16.  Throws std::invalid_argument for another type.
template <typename Body>
void with_type(DType dtype, const Body& body) {
  if (dtype == DType::F32) return body(float{});
  if (dtype == DType::BF16) return body(Bf16{});
  throw std::invalid_argument("kernel: " + std::string(name_of(dtype)) + " is not fp32 or bf16");
}

}  // namespace ferry::model::kernels
