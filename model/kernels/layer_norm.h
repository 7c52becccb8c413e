// Layer normalisation of rows, fused with the preceding residual addition and the following scale and shift
// (wan21.md section 2.7).  Statistics and arithmetic are fp32, the variance is the biased one, and the result
// is rounded once, into `out`.
#pragma once

#include <cstdint>

#include "base/device.h"

namespace ferry::model::kernels {

struct LayerNorm {
  float* x = nullptr;            // [rows, dim]; written only if y is given
  const void* y = nullptr;       // [rows, dim]; optional; x += y * gate is done first and stored in x
  DType y_type = DType::F32;     // fp32 or bf16
  const float* gate = nullptr;   // [dim]; nullptr: 1
  DType norm_type = DType::F32;  // LN(x) is rounded to it before modulation: fp32 (not at all) or bf16
  const float* scale = nullptr;  // [dim]
  const float* shift = nullptr;  // [dim]
  void* out = nullptr;           // [rows, dim]; may be y if types match, or x if fp32 and y is nullptr
  DType out_type = DType::F32;   // fp32 or bf16
  std::int64_t rows = 0;
  std::int64_t dim = 0;
  float eps = 1e-6F;
};

// out = LN(x) * (1 + scale) + shift, LN without weights.  norm_type BF16 belongs to block 0, whose residual
// stream the reference still keeps in bf16.  Queued on `stream`, whose device holds the memory.
// Throws std::invalid_argument for other types.
void layer_norm_modulate(const LayerNorm& args, Stream& stream);

// out = LN(x) * scale + shift; norm_type is ignored.
void layer_norm_affine(const LayerNorm& args, Stream& stream);

}  // namespace ferry::model::kernels
