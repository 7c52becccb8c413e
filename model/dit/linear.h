// Linear layers; no other code multiplies by their weights.
#pragma once

#include <ATen/core/Tensor.h>

#include "base/device.h"
#include "model/weights.h"

namespace ferry::model {

// out = x W^T + b, plus strength * (x A^T) B^T if the view carries a LoRA.
//
//   x    [rows, in]   dtype and device of the weight
//   view weight [out, in] (or a convolution's [out, in, ...], read as a matrix), bias [out]
//   out  [rows, out]  of that dtype, contiguous; does not overlap x
//
// Queued on LibTorch's current stream.
void linear_out(const at::Tensor& out, const at::Tensor& x, const ModuleView& view);

// As above into a new tensor.
at::Tensor linear(const at::Tensor& x, const ModuleView& view);

// out = GELU(linear) in the tanh approximation; equivalent to linear_out and kernels::gelu_tanh.  On a GPU in
// bf16 without LoRA the matrix product applies it to its fp32 sums, which saves one pass over `out` and one
// rounding.  `stream` must be LibTorch's current one.
void linear_gelu_out(const at::Tensor& out, const at::Tensor& x, const ModuleView& view, Stream& stream);

}  // namespace ferry::model
