// Tensor shapes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace ferry::model {

// Number of elements; for trusted shapes only (checked_numel for shapes from a file).
inline std::int64_t numel(const std::vector<std::int64_t>& shape) {
  std::int64_t count = 1;
  for (const std::int64_t extent : shape) count *= extent;
  return count;
}

// Row-major strides, in elements.
inline std::vector<std::int64_t> row_major(const std::vector<std::int64_t>& shape) {
  std::vector<std::int64_t> strides(shape.size(), 1);
  for (std::size_t i = shape.size(); i-- > 1;) strides[i - 1] = strides[i] * shape[i];
  return strides;
}

}  // namespace ferry::model
