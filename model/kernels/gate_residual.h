// The residual additions of a block (wan21.md section 2.7): out = x + y * gate in fp32.
#pragma once

#include <cstdint>

#include "base/device.h"

namespace ferry::model::kernels {

struct GateResidual {
  const float* x = nullptr;  // [rows, dim]
  const void* y = nullptr;   // [rows, dim], fp32 or bf16
  DType y_type = DType::F32;
  const float* gate = nullptr;  // [dim]; nullptr: out = x + y
  float* out = nullptr;         // [rows, dim]; may be x
  std::int64_t rows = 0;
  std::int64_t dim = 0;
};

// Queued on `stream`, whose device holds the memory.  Throws std::invalid_argument for other types.
void gate_residual(const GateResidual& args, Stream& stream);

}  // namespace ferry::model::kernels
