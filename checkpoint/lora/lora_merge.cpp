#include <algorithm>
#include <vector>

#include "checkpoint/lora/lora.h"

namespace ferry::checkpoint {

namespace {

constexpr std::int64_t kRowsAtOnce = 16;

std::vector<float> floats_of(const TensorEntry& entry) {
  std::vector<float> values(static_cast<std::size_t>(entry.numel()));
  const model::TensorSpec spec{.key = entry.key, .shape = entry.shape, .dtype = DType::F32};
  read_tensor(entry, spec, reinterpret_cast<std::byte*>(values.data()));
  return values;
}

// row += scale * b A, ranks in ascending order.
void add_row(float* row, std::int64_t in, const float* b, const std::vector<float>& down, float scale) {
  const auto rank = static_cast<std::int64_t>(down.size()) / in;
  for (std::int64_t k = 0; k < rank; ++k) {
    const float factor = scale * b[k];
    const float* a = down.data() + k * in;
    for (std::int64_t c = 0; c < in; ++c) row[c] += factor * a[c];
  }
}

}  // namespace

void read_merged_rows(const TensorEntry& entry, const model::TensorSpec& spec, const LoraAddition& addition,
                      std::byte* dst, RowRange rows) {
  const std::int64_t in = spec.shape.at(1);
  const std::int64_t rank = addition.pair->down.shape[0];
  const auto scale = static_cast<float>(addition.strength * addition.pair->scale);
  const std::vector<float> down = floats_of(addition.pair->down);
  for (std::int64_t begin = rows.begin; begin < rows.end; begin += kRowsAtOnce) {
    const RowRange part{begin, std::min(begin + kRowsAtOnce, rows.end)};
    std::vector<float> weight = floats_of(entry.rows(part.begin, part.end));
    const std::vector<float> up = floats_of(addition.pair->up.rows(part.begin, part.end));
    for (std::int64_t r = 0; r < part.end - part.begin; ++r) {
      add_row(weight.data() + r * in, in, up.data() + r * rank, down, scale);
    }
    std::byte* place = dst + begin * in * static_cast<std::int64_t>(size_of(spec.dtype));
    convert(place, spec.dtype, weight.data(), DType::F32, weight.size());
  }
}

}  // namespace ferry::checkpoint
