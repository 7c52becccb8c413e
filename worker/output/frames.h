// The VAE's output as frames of 8-bit RGB (wan21.md section 5.11).
#pragma once

#include <ATen/core/Tensor.h>

#include "worker/output/image.h"

namespace ferry::worker {

//   frames  [3, f, H, W] float, any device; values outside [-1, 1] are clamped
//   result  [f, H, W, 3] uint8 on that device: (x + 1) / 2 * 255, truncated, in fp32
at::Tensor to_rgb8(const at::Tensor& frames);

// View of a [F, H, W, 3] uint8 CPU tensor; valid as long as the tensor.
// Throws std::invalid_argument for any other tensor.
Clip clip_of(const at::Tensor& frames);

}  // namespace ferry::worker
