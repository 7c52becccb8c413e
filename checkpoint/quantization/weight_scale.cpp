#include "checkpoint/quantization/weight_scale.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>

#include "base/error.h"
#include "base/text/describe.h"

namespace ferry::checkpoint {

namespace {

constexpr std::int64_t kUsualBlock = 128;

struct Extents {
  std::int64_t rows = 1;
  std::int64_t columns = 1;
};

Extents extents_of(const TensorEntry& weight) {
  const std::int64_t rows = weight.shape.empty() ? 1 : weight.shape[0];
  return {rows, rows == 0 ? 0 : weight.numel() / rows};
}

std::int64_t blocks_in(std::int64_t extent, std::int64_t size) { return (extent + size - 1) / size; }

[[noreturn]] void refuse_shape(const TensorEntry& scale, const TensorEntry& weight, const std::string& why) {
  refuse_scale(scale, fmt::format("shape {} does not fit its weight {}: {}", shape_text(scale.shape),
                                  shape_text(weight.shape), why));
}

bool divides(const Extents& weight, const Extents& grid, const BlockSize& block) {
  return blocks_in(weight.rows, block.rows) == grid.rows &&
         blocks_in(weight.columns, block.columns) == grid.columns;
}

// Square blocks: at most one power of two gives the grid.  A size other than 128 is accepted only if no block
// is partial, since otherwise a size that is not a power of two could give the same grid.
std::optional<BlockSize> square_blocks(const Extents& weight, const Extents& grid) {
  for (std::int64_t size = 1; size <= std::int64_t{1} << 30; size *= 2) {
    const BlockSize block{size, size};
    if (!divides(weight, grid, block)) continue;
    const bool whole =
        (grid.rows == 1 || weight.rows % size == 0) && (grid.columns == 1 || weight.columns % size == 0);
    return size == kUsualBlock || whole ? std::optional(block) : std::nullopt;
  }
  return {};
}

// Equal groups within a row.
std::optional<BlockSize> row_groups(const Extents& weight, const Extents& grid) {
  if (grid.rows != weight.rows || grid.columns == 0) return {};
  const std::int64_t even = weight.columns / grid.columns;
  if (weight.columns % grid.columns == 0) {
    return std::has_single_bit(static_cast<std::uint64_t>(even)) ? std::optional(BlockSize{1, even})
                                                                 : std::nullopt;
  }
  const BlockSize usual{1, kUsualBlock};
  return divides(weight, grid, usual) ? std::optional(usual) : std::nullopt;
}

BlockSize blocks_of(const TensorEntry& scale, const TensorEntry& weight,
                    const std::optional<BlockSize>& said) {
  const Extents extents = extents_of(weight);
  const std::vector<std::int64_t>& shape = scale.shape;
  const bool groups = shape.size() == 3 && shape[2] == 1 && shape[0] == extents.rows;
  const bool grid_like = weight.shape.size() == 2 && (shape.size() == 2 || groups);
  if (said && !(grid_like && divides(extents, {shape[0], shape[1]}, *said))) {
    refuse_shape(scale, weight,
                 fmt::format("blocks of {}x{} are said to be used", said->rows, said->columns));
  }
  if (!grid_like) refuse_shape(scale, weight, "one value, one a row, or one a block of a matrix is accepted");
  if (said) return *said;
  const Extents grid{shape[0], shape[1]};
  if (groups && grid.columns > 0 && extents.columns % grid.columns == 0)
    return {1, extents.columns / grid.columns};
  auto block = groups ? std::nullopt : square_blocks(extents, grid);
  if (!block && !groups) block = row_groups(extents, grid);
  if (!block) {
    refuse_shape(scale, weight,
                 "its blocks are not of 128x128, nor of another power of two that divides it; "
                 "quantization_config with weight_block_size in config.json would say");
  }
  return *block;
}

WeightScale grid_of(const TensorEntry& scale, const TensorEntry& weight,
                    const std::optional<BlockSize>& said) {
  const Extents extents = extents_of(weight);
  if (extents.rows == 0 || extents.columns == 0) refuse_scale(scale, "its weight is empty");
  const bool whole = !said || divides(extents, {1, 1}, *said) || weight.shape.size() != 2;
  if (scale.numel() == 1 && whole)
    return {
        .grid = ScaleGrid::One, .block = {extents.rows, extents.columns}, .grid_columns = 1, .values = {}};
  const bool rows = !scale.shape.empty() && scale.shape[0] == extents.rows && scale.numel() == extents.rows;
  if (rows && (!said || weight.shape.size() != 2))
    return {.grid = ScaleGrid::Rows, .block = {1, extents.columns}, .grid_columns = 1, .values = {}};
  const BlockSize block = blocks_of(scale, weight, said);
  return {.grid = ScaleGrid::Blocks, .block = block, .grid_columns = scale.shape[1], .values = {}};
}

}  // namespace

void refuse_scale(const TensorEntry& tensor, const std::string& why) {
  throw UserError(
      fmt::format("{}: tensor {}: fp8 scales: {}", tensor.file, printable(tensor.source_key), why));
}

WeightScale read_scale(const TensorEntry& scale, const TensorEntry& weight,
                       const std::optional<BlockSize>& said) {
  if (scale.dtype != DType::F32 && scale.dtype != DType::BF16 && scale.dtype != DType::F16) {
    refuse_scale(
        scale, fmt::format("it is {}; fp32, bf16 and fp16 are read, not the scales of mxfp8 (e8m0) or nvfp4",
                           name_of(scale.dtype)));
  }
  WeightScale read = grid_of(scale, weight, said);
  read.values.resize(static_cast<std::size_t>(scale.numel()));
  const model::TensorSpec spec{.key = scale.source_key, .shape = scale.shape, .dtype = DType::F32};
  read_tensor(scale, spec, reinterpret_cast<std::byte*>(read.values.data()));
  for (const float value : read.values) {
    if (!std::isfinite(value) || !(value > 0))
      refuse_scale(scale, fmt::format("it holds {}, expected finite numbers above 0", value));
  }
  return read;
}

void multiply(const WeightScale& scale, std::int64_t first_row, std::int64_t rows, std::int64_t columns,
              float* values) {
  for (std::int64_t row = first_row; row < first_row + rows; ++row) {
    const float* next = scale.values.data() + row / scale.block.rows * scale.grid_columns;
    for (std::int64_t begin = 0; begin < columns; begin += scale.block.columns) {
      const float factor = *next++;
      const std::int64_t end = std::min(columns, begin + scale.block.columns);
      for (std::int64_t column = begin; column < end; ++column) values[column] *= factor;
    }
    values += columns;
  }
}

std::string text_of(const WeightScale& scale) {
  if (scale.grid == ScaleGrid::One) return "per tensor";
  if (scale.grid == ScaleGrid::Rows) return "per row";
  return fmt::format("in blocks of {}x{}", scale.block.rows, scale.block.columns);
}

}  // namespace ferry::checkpoint
