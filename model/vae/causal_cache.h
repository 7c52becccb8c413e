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
  // `options`: its first two frames are the remembered ones, zeros in the beginning; the caller writes the
  // rest.
  at::Tensor open(ModuleId id, at::IntArrayRef frames, const at::TensorOptions& options);

  // Remembers the last two frames of the buffer.
  void close(ModuleId id, const at::Tensor& buffer);

 private:
  std::map<std::pair<int, int>, at::Tensor> last_;  // [2, h, w, c]
};

}  // namespace ferry::model::vae
