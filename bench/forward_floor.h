// The library's share of a DiT forward: the linears of the blocks and their attention, on noise.
#pragma once

#include <ATen/core/Tensor.h>

#include "model/dit/dit.h"

namespace ferry::bench {

struct FloorSeconds {
  double linear = 0;
  double attention = 0;
};

class ForwardFloor {
 public:
  // For `tokens` tokens in the whole sequence; allocates noise of the largest input's size.
  ForwardFloor(const model::DitConfig& config, model::Weights& weights, const model::DitRuntime& runtime,
               std::int64_t tokens, int branches);

  // Runs and times both parts.  Blocks.
  FloorSeconds seconds();

 private:
  void linears();
  void linear(int block, model::DitBlock module, std::int64_t in);
  void attentions();
  template <class Work>
  double timed(const Work& work);

  model::DitConfig config_;
  model::Weights& weights_;
  Device& device_;
  int branches_;
  std::int64_t rows_;    // tokens of this rank
  std::int64_t tokens_;  // keys
  std::int64_t queries_;
  std::int64_t heads_;  // of this rank
  at::Tensor noise_;    // [rows * widest input]
  at::Tensor query_, key_, value_, text_key_, text_value_, text_query_;
  model::kernels::Attention attention_;
};

}  // namespace ferry::bench
