// The one place where a linear layer meets its weights.
#pragma once

#include <ATen/core/Tensor.h>

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

}  // namespace ferry::model
