#include "model/dit/rope.h"

#include <ATen/ops/empty.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

namespace ferry::model {

namespace {

struct Turn {
  float cos;
  float sin;
};

// Table [positions, pairs] of one axis.
std::vector<Turn> axis_table(std::int64_t positions, std::int64_t pairs) {
  std::vector<Turn> table;
  table.reserve(static_cast<std::size_t>(positions * pairs));
  for (std::int64_t p = 0; p < positions; ++p) {
    for (std::int64_t i = 0; i < pairs; ++i) {
      const double angle = rope_angle(p, i, pairs);
      table.push_back({static_cast<float>(std::cos(angle)), static_cast<float>(std::sin(angle))});
    }
  }
  return table;
}

struct Axis {
  std::int64_t pairs;
  std::vector<Turn> table;
};

}  // namespace

RopeSplit rope_split(std::int64_t head_dim) {
  const std::int64_t pairs = head_dim / 2;
  return {.frames = pairs - 2 * (pairs / 3), .rows = pairs / 3, .cols = pairs / 3};
}

double rope_angle(std::int64_t position, std::int64_t i, std::int64_t pairs) {
  return static_cast<double>(position) *
         std::pow(10000.0, -static_cast<double>(i) / static_cast<double>(pairs));
}

at::Tensor rope_table(const kernels::Grid& grid, std::int64_t head_dim, std::int64_t first,
                      std::int64_t count) {
  const RopeSplit split = rope_split(head_dim);
  const std::array<Axis, 3> axes = {Axis{split.frames, axis_table(grid.frames, split.frames)},
                                    Axis{split.rows, axis_table(grid.rows, split.rows)},
                                    Axis{split.cols, axis_table(grid.cols, split.cols)}};
  at::Tensor table = at::empty({count, 2, head_dim / 2}, at::kFloat);
  float* cos = table.data_ptr<float>();
  for (std::int64_t t = first; t < first + count; ++t) {
    const std::array<std::int64_t, 3> position = {t / (grid.cols * grid.rows), t / grid.cols % grid.rows,
                                                  t % grid.cols};
    float* sin = cos + head_dim / 2;
    for (std::size_t axis = 0; axis < axes.size(); ++axis) {
      const Turn* turn = axes[axis].table.data() + position[axis] * axes[axis].pairs;
      for (std::int64_t i = 0; i < axes[axis].pairs; ++i) {
        *cos++ = turn[i].cos;
        *sin++ = turn[i].sin;
      }
    }
    cos = sin;
  }
  return table;
}

}  // namespace ferry::model
