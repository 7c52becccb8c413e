// The one place where a linear layer meets its weights.
#pragma once

#include <ATen/core/Tensor.h>

#include "base/device.h"
#include "model/weights.h"

namespace ferry::model {

// out = x W^T + b, plus strength * (x A^T) B^T where the view carries a LoRA.
//
//   x    [rows, in]   dtype and device of the weight
//   view weight [out, in] (or a convolution's [out, in, ...], read as a matrix), bias [out]
//   out  [rows, out]  of that dtype, contiguous; does not overlap x
//
// Queued on LibTorch's current stream.
void linear_out(const at::Tensor& out, const at::Tensor& x, const ModuleView& view);

// The same into a new tensor.
at::Tensor linear(const at::Tensor& x, const ModuleView& view);

// out = GELU(linear), in the tanh approximation, which linear_out and kernels::gelu_tanh also make.  On a GPU
// in bf16 without LoRA the matrix product applies it to its fp32 sums: one pass over `out` less, and one
// rounding.  `stream` is LibTorch's current one.
void linear_gelu_out(const at::Tensor& out, const at::Tensor& x, const ModuleView& view, Stream& stream);

}  // namespace ferry::model
