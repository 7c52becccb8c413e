// What the causal convolutions remember between chunks: the last two frames of each one's input
// (wan21.md section 5.6).
#pragma once

#include <ATen/core/Tensor.h>

#include <map>
#include <utility>

#include "model/weights.h"

namespace ferry::model::vae {

class CausalCache {
 public:
  // The input buffer [2 + t, h, w, c] of the convolution `id` for a chunk of the given frames, made with
  // `options`: in front what is remembered of the frames before, zeros where there were none; the caller
  // writes the rest.
  at::Tensor open(ModuleId id, at::IntArrayRef frames, const at::TensorOptions& options) const;

  // Remembers the last two frames of `input` [t, h, w, c], or the one there is.
  void close(ModuleId id, const at::Tensor& input);

 private:
  struct Past {
    at::Tensor frames;       // [2, h, w, c]
    std::int64_t known = 0;  // the last ones; the others were never written
  };
  std::map<std::pair<int, int>, Past> past_;
};

}  // namespace ferry::model::vae
