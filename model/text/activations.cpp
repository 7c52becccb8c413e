#include "model/text/activations.h"

#include <cstdint>

namespace ferry::model {

std::size_t activation_bytes(const Umt5Config& config, DType compute) {
  const std::int64_t scores = config.heads * config.text_len * config.text_len * 3;
  const std::int64_t rows = config.text_len * (6 * config.dim + 3 * config.ffn_dim + 4 * config.attn_dim);
  return static_cast<std::size_t>(scores) * size_of(DType::F32) +
         static_cast<std::size_t>(rows) * size_of(compute);
}

}  // namespace ferry::model
