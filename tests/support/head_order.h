// Orders of the Ulysses exchange for tests of the kernels that write and read them.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>

#include <cstdint>
#include <vector>

#include "model/kernels/element.h"

namespace ferry::testing {

// kernels::HeadPlace of each head as a tensor [H, 3], for pieces of so many heads.
inline at::Tensor head_places(const std::vector<std::int64_t>& widths) {
  std::vector<at::Tensor> rows;
  std::int64_t before = 0;
  for (const std::int64_t width : widths) {
    for (std::int64_t i = 0; i < width; ++i) {
      rows.push_back(at::empty({1, 3}, at::kInt));
      rows.back()[0][0] = before;
      rows.back()[0][1] = width;
      rows.back()[0][2] = i;
    }
    before += width;
  }
  return at::cat(rows);
}

inline const model::kernels::HeadPlace* data_of(const at::Tensor& places) {
  return reinterpret_cast<const model::kernels::HeadPlace*>(places.data_ptr<std::int32_t>());
}

// [tokens, H, D] cut into those pieces, one behind the other, in the shape that it had.
inline at::Tensor packed(const at::Tensor& x, const std::vector<std::int64_t>& widths) {
  std::vector<at::Tensor> pieces;
  std::int64_t before = 0;
  for (const std::int64_t width : widths) {
    pieces.push_back(x.narrow(1, before, width).flatten());
    before += width;
  }
  return at::cat(pieces).view(x.sizes());
}

}  // namespace ferry::testing
