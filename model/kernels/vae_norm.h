// The VAE's norm and activation in one pass over channels-last pixels (wan21.md section 5.2):
//
//   y = silu(x / max(|x|, 1e-12) * sqrt(channels) * gamma),  |x| over the channels of a pixel
//
// Arithmetic is fp32 whatever the types of x and y.
#pragma once

#include <cstdint>

#include "base/device.h"
#include "base/dtype.h"

namespace ferry::model::kernels {

struct VaeNorm {
  const void* x = nullptr;       // [pixels, channels], x_type
  void* y = nullptr;             // [pixels, channels], y_type; may be x if the types are the same
  DType x_type = DType::F32;     // fp32 or bf16
  DType y_type = DType::F32;     // fp32 or bf16
  const float* gamma = nullptr;  // [channels]
  std::int64_t pixels = 0;
  std::int64_t channels = 0;
  bool silu = true;  // false: the norm alone
};

// Queued on `stream`, whose device holds the memory.  Throws std::invalid_argument for other types.
void vae_norm(const VaeNorm& args, Stream& stream);

// The factor of a pixel whose length is `length`, given sqrt(channels).
constexpr float vae_norm_scale(float length, float root_channels) {
  return root_channels / (length > 1e-12F ? length : 1e-12F);
}

namespace cuda {
// The CUDA side; `stream` is a cudaStream_t.
void vae_norm(const VaeNorm& args, void* stream);
}  // namespace cuda

}  // namespace ferry::model::kernels
