// The umT5 encoder: token ids in, the DiT's text context out (wan21.md sections 4.1 to 4.6).
//
// umT5 is T5 with gated GELU, RMS norms, no biases, unscaled attention and one table of relative position
// biases per layer.  Only the real tokens of a prompt are computed: the reference runs text_len of them and
// masks the padding, whose keys get probability exactly 0, so the rows kept are mathematically equal (a GEMM
// with fewer rows may round differently).
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <vector>

#include "base/device.h"
#include "model/tap.h"
#include "model/text/config.h"
#include "model/text/umt5_spec.h"
#include "model/weights.h"

namespace ferry::model {

struct Umt5Runtime {
  Device* device = nullptr;
  DType compute = DType::BF16;  // as given to umt5_spec
  Tap tap = nullptr;            // empty: no tap
};

class Umt5Encoder {
 public:
  // `weights` must serve umt5_spec(config, runtime.compute) and, like what `runtime` points to, outlive this.
  Umt5Encoder(const Umt5Config& config, Weights& weights, Umt5Runtime runtime);

  // Encodes each prompt on its own, all in one pass "forward", which fetches a weight once for all of them.
  //
  //   prompts  ids [Lt] of each, 1 <= Lt <= text_len, end-of-sentence included, no padding; host
  //   returns  for each [Lt, dim], runtime.compute, contiguous, on the device
  //
  // BF16 rounds after every operation, as the reference does, GELU's included; norms and softmax are fp32
  // inside.  Each part shows the tap its results prompt by prompt.
  // Runs on the device's compute stream; waits only to bring the embeddings of the tokens there.
  // Throws std::invalid_argument for a count outside that range, an id outside the vocabulary, or weights of
  // another type.
  std::vector<at::Tensor> encode(std::span<const std::vector<std::int64_t>> prompts);

 private:
  Umt5Config config_;
  Weights& weights_;
  Umt5Runtime runtime_;
};

// Row of the position bias table for `distance` = key - query: 0 to 31, the same for all distances beyond 90.
std::int64_t umt5_bucket(std::int64_t distance);

}  // namespace ferry::model
