// The scale of one weight: numbers on a grid over its rows and columns.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "checkpoint/checkpoint.h"

namespace ferry::checkpoint {

struct BlockSize {
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  friend bool operator==(const BlockSize&, const BlockSize&) = default;
};

enum class ScaleGrid : std::uint8_t { One, Rows, Blocks };

// A weight counts as a matrix [extent of dimension 0, product of the others].
struct WeightScale {
  ScaleGrid grid = ScaleGrid::One;
  BlockSize block;                // elements covered by one value
  std::int64_t grid_columns = 1;  // values per row of the grid
  std::vector<float> values;      // row-major
};

// Throws UserError naming file and tensor, a scale or a weight that has or needs one.
[[noreturn]] void refuse_scale(const TensorEntry& tensor, const std::string& why);

// Reads a scale and determines its blocks; `said` is the block size given by a configuration.
// Throws UserError: a type other than fp32, bf16, fp16, a shape that does not fit the weight or is ambiguous,
// a value that is not finite and positive.
WeightScale read_scale(const TensorEntry& scale, const TensorEntry& weight,
                       const std::optional<BlockSize>& said);

// Multiplies rows [first_row, first_row + rows) of the weight, given in `values`. If the grid has one column,
// columns may be in any order, else they must be in the checkpoint's.
void multiply(const WeightScale& scale, std::int64_t first_row, std::int64_t rows, std::int64_t columns,
              float* values);

// "per tensor", "per row", "in blocks of 128x128".
std::string text_of(const WeightScale& scale);

}  // namespace ferry::checkpoint
