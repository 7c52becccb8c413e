// Dimensions of a umT5 encoder (wan21.md section 4).
#pragma once

#include <cstdint>

namespace ferry::model {

struct Umt5Config {
  std::int64_t vocab = 256384;
  std::int64_t dim = 4096;
  std::int64_t attn_dim = 4096;  // heads * head size
  std::int64_t ffn_dim = 10240;
  std::int64_t heads = 64;
  std::int64_t layers = 24;
  std::int64_t buckets = 32;
  std::int64_t text_len = 512;  // tokens, end-of-sentence included
  double eps = 1e-6;

  friend bool operator==(const Umt5Config&, const Umt5Config&) = default;
};

}  // namespace ferry::model
