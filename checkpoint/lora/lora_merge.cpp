#include <algorithm>
#include <vector>

#include "checkpoint/lora/lora_stack.h"

namespace ferry::checkpoint {

namespace {

constexpr std::int64_t kAtOnce = 1 << 17;  // elements

std::vector<float> floats_of(const TensorEntry& entry) {
  std::vector<float> values(static_cast<std::size_t>(entry.numel()));
  const model::TensorSpec spec{.key = entry.key, .shape = entry.shape, .dtype = DType::F32};
  read_tensor(entry, spec, reinterpret_cast<std::byte*>(values.data()));
  return values;
}

// One addition, ready for rows of its tensor.
class Term {
 public:
  Term(const LoraAddition& addition, std::int64_t columns)
      : addition_(addition),
        columns_(columns),
        factor_(
            static_cast<float>(addition.strength * (addition.pair != nullptr ? addition.pair->scale : 1.0))) {
    if (addition.pair != nullptr) down_ = floats_of(addition.pair->down);
  }

  // weight += this, for the rows of `weight`.
  void add_to(std::vector<float>& weight, RowRange rows) const {
    if (addition_.pair != nullptr) return add_product(weight, rows);
    const std::vector<float> difference = floats_of(addition_.difference->rows(rows.begin, rows.end));
    for (std::size_t i = 0; i < weight.size(); ++i) weight[i] += factor_ * difference[i];
  }

 private:
  void add_product(std::vector<float>& weight, RowRange rows) const {
    const std::vector<float> up = floats_of(addition_.pair->up.rows(rows.begin, rows.end));
    const std::int64_t rank = addition_.pair->down.shape[0];
    for (std::int64_t r = 0; r < rows.end - rows.begin; ++r)
      add_row(weight.data() + r * columns_, up.data() + r * rank);
  }

  // row += factor * b A, ranks in ascending order.
  void add_row(float* row, const float* b) const {
    const auto rank = static_cast<std::int64_t>(down_.size()) / columns_;
    for (std::int64_t k = 0; k < rank; ++k) {
      const float factor = factor_ * b[k];
      const float* a = down_.data() + k * columns_;
      for (std::int64_t c = 0; c < columns_; ++c) row[c] += factor * a[c];
    }
  }

  LoraAddition addition_;
  std::int64_t columns_;
  float factor_;
  std::vector<float> down_;  // A
};

}  // namespace

void read_merged_rows(const TensorEntry& entry, const model::TensorSpec& spec,
                      std::span<const LoraAddition> additions, std::byte* dst, RowRange rows) {
  const std::int64_t columns = entry.numel() / entry.shape.at(0);
  const auto row_bytes = columns * static_cast<std::int64_t>(size_of(spec.dtype));
  const std::int64_t step = std::max<std::int64_t>(1, kAtOnce / columns);
  std::vector<Term> terms;
  for (const LoraAddition& addition : additions) terms.emplace_back(addition, columns);
  for (std::int64_t begin = rows.begin; begin < rows.end; begin += step) {
    const RowRange part{begin, std::min(begin + step, rows.end)};
    std::vector<float> weight = floats_of(entry.rows(part.begin, part.end));
    for (const Term& term : terms) term.add_to(weight, part);
    convert(dst + begin * row_bytes, spec.dtype, weight.data(), DType::F32, weight.size());
  }
}

}  // namespace ferry::checkpoint
