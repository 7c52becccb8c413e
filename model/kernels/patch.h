// Conversion between a latent [C, F, h, w] and its tokens (wan21.md sections 2.3, 2.10).  Note the asymmetry:
// a token's input vector is channel-major (c, dy, dx), its output vector is channel-minor (dy, dx, c).
#pragma once

#include <cstdint>

#include "base/device.h"
#include "model/kernels/element.h"

namespace ferry::model::kernels {

struct Patchify {
  const float* latent = nullptr;  // [channels, frames, 2 * rows, 2 * cols]
  void* out = nullptr;            // [count, channels * 4], fp32 or bf16
  DType out_type = DType::F32;
  Grid grid;
  std::int64_t channels = 0;
  std::int64_t first = 0;  // token of out's first row
  std::int64_t count = 0;
};

// Queued on `stream`, whose device holds the memory.  Throws std::invalid_argument for another out_type.
void patchify(const Patchify& args, Stream& stream);

struct Unpatchify {
  const float* tokens = nullptr;  // [grid.tokens(), 4 * channels]
  float* latent = nullptr;        // [channels, frames, 2 * rows, 2 * cols]
  Grid grid;
  std::int64_t channels = 0;
};

// Queued on `stream`, whose device holds the memory.
void unpatchify(const Unpatchify& args, Stream& stream);

}  // namespace ferry::model::kernels
