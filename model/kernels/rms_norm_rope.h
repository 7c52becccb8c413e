// Between the q and k projections and attention: RMS norm over all heads together, rotary position embedding,
// and reordering for the Ulysses exchange (wan21.md sections 2.8, 2.9).
#pragma once

#include <cstdint>

#include "base/device.h"
#include "model/kernels/element.h"

namespace ferry::model::kernels {

struct RmsNormRope {
  const void* in = nullptr;           // [tokens, heads * head_dim]
  void* out = nullptr;                // destination-major; may be `in` if places is nullptr
  DType dtype = DType::BF16;          // of in and out: fp32 or bf16
  const float* weight = nullptr;      // [heads * head_dim]
  const float* rope = nullptr;        // [rotated, 2, head_dim / 2]: cosines, then sines; nullptr: no rotation
  const HeadPlace* places = nullptr;  // [heads], in the same memory; nullptr: out has the order of in
  std::int64_t tokens = 0;
  std::int64_t rotated = 0;  // leading tokens that are rotated; the rest is padding
  std::int64_t heads = 0;
  std::int64_t head_dim = 0;  // even
  float eps = 1e-6F;
};

// z / rms(z) rounded to dtype, times weight in fp32, rotated in fp32 in interleaved pairs, rounded to dtype.
// Queued on `stream`, whose device holds the memory.  Throws std::invalid_argument for other types.
void rms_norm_rope(const RmsNormRope& args, Stream& stream);

}  // namespace ferry::model::kernels
