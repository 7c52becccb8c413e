// Layer normalisation of rows, fused with what comes before and after it (wan21.md section 2.7): the addition
// to the residual stream, and scale and shift.  Statistics and arithmetic are fp32, the variance is the
// biased one, and the result is rounded once, into `out`.
#pragma once

#include <cstdint>

#include "base/device.h"

namespace ferry::model::kernels {

struct LayerNorm {
  float* x = nullptr;            // [rows, dim]; written only where there is a y
  const void* y = nullptr;       // [rows, dim]; given: x += y * gate comes first, and stays in x
  DType y_type = DType::F32;     // fp32 or bf16
  const float* gate = nullptr;   // [dim]; nullptr: 1
  DType norm_type = DType::F32;  // what LN(x) is rounded to before it is modulated: fp32 (not at all) or bf16
  const float* scale = nullptr;  // [dim]
  const float* shift = nullptr;  // [dim]
  void* out = nullptr;           // [rows, dim]; may be y, of its type; in fp32 and without y may be x
  DType out_type = DType::F32;   // fp32 or bf16
  std::int64_t rows = 0;
  std::int64_t dim = 0;
  float eps = 1e-6F;
};

// out = LN(x) * (1 + scale) + shift, LN without weights.  norm_type BF16 belongs to block 0, whose residual
// stream the reference still keeps in bf16.  Queued on `stream`, whose device holds the memory.
// Throws std::invalid_argument for other types.
void layer_norm_modulate(const LayerNorm& args, Stream& stream);

// out = LN(x) * scale + shift; norm_type has no part in it.
void layer_norm_affine(const LayerNorm& args, Stream& stream);

}  // namespace ferry::model::kernels
