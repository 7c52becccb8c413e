// Rotary position embedding over three axes (wan21.md section 2.9).
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "model/kernels/element.h"

namespace ferry::model {

// Pairs of a head rotated by each axis: rows and columns head_dim / 6 (rounded down) each, time the rest.
struct RopeSplit {
  std::int64_t frames = 0;
  std::int64_t rows = 0;
  std::int64_t cols = 0;
};
RopeSplit rope_split(std::int64_t head_dim);

// Angle of pair i of an axis that owns `pairs` of them, at integer position p: p * 10000^(-i / pairs).
double rope_angle(std::int64_t position, std::int64_t i, std::int64_t pairs);

// The table for kernels::rms_norm_rope for the tokens [first, first + count) of `grid`: cosines and sines
// [count, 2, head_dim / 2], fp32 in host memory, from angles in fp64.
at::Tensor rope_table(const kernels::Grid& grid, std::int64_t head_dim, std::int64_t first,
                      std::int64_t count);

}  // namespace ferry::model
