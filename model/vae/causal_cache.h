// State of the causal convolutions between chunks: the last two frames of each one's input (wan21.md section
// 5.6).
#pragma once

#include <ATen/core/Tensor.h>

#include <map>
#include <utility>

#include "model/weights.h"

namespace ferry::model::vae {

class CausalCache {
 public:
  // Allocates the input [2 + t, h, w, c] of the convolution `id` for a chunk of the given frames, with
  // `options`. The past frames in front are filled in, zeros if there were none; the caller writes the rest.
  at::Tensor open(ModuleId id, at::IntArrayRef frames, const at::TensorOptions& options) const;

  // Stores the last two frames of `input` [t, h, w, c], or the only one.
  void close(ModuleId id, const at::Tensor& input);

 private:
  struct Past {
    at::Tensor frames;       // [2, h, w, c]
    std::int64_t known = 0;  // number of valid frames, at the end; the others are unwritten
  };
  std::map<std::pair<int, int>, Past> past_;
};

}  // namespace ferry::model::vae
