// Dimensions of a Wan diffusion transformer (wan21.md section 1).
#pragma once

#include <cstdint>

namespace ferry::model {

struct DitConfig {
  std::int64_t dim = 1536;  // C
  std::int64_t ffn_dim = 8960;
  std::int64_t heads = 12;
  std::int64_t layers = 30;
  std::int64_t in_channels = 16;
  std::int64_t out_channels = 16;
  std::int64_t text_dim = 4096;
  std::int64_t text_len = 512;  // context rows, zero-padded up to this
  std::int64_t freq_dim = 256;
  double eps = 1e-6;

  std::int64_t head_dim() const { return dim / heads; }
  friend bool operator==(const DitConfig&, const DitConfig&) = default;
};

}  // namespace ferry::model
