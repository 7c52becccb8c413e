// The umT5 encoder: token ids in, the DiT's text context out (wan21.md sections 4.1 to 4.6).
//
// umT5 is T5 with gated GELU, RMS norms, no biases, no scaling of the attention and one table of relative
// position biases per layer.  Only the real tokens of a prompt are computed: the reference runs text_len of
// them and masks the padding, whose keys get probability exactly 0, so the rows that are kept are the same
// mathematics (a GEMM with fewer rows may round differently).
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <vector>

#include "base/device.h"
#include "model/tap.h"
#include "model/text/config.h"
#include "model/weights.h"

namespace ferry::model {

// The network under official keys, every tensor in `compute` (BF16 or F32).  Head: token_embedding (on the
// host only).  Blocks: blocks.i.  Tail: norm.
// Throws std::invalid_argument for another dtype or for dimensions that make no network; UserError for a
// number of position buckets other than 32.
NetworkSpec umt5_spec(const Umt5Config& config, DType compute);

// Encodes one prompt.
//
//   ids     [Lt]       1 <= Lt <= text_len, end-of-sentence included, no padding; host
//   return  [Lt, dim]  `compute`, contiguous, on the device
//
// `compute` is the dtype of the spec that `weights` was made with.  BF16 rounds after every operation, as
// the reference does, GELU's included; norms and softmax are fp32 inside.
// One pass "forward".  Runs on device.compute(); waits only to bring the embeddings of the tokens there.
// Throws std::invalid_argument for a count outside that range or an id outside the vocabulary.
at::Tensor umt5_encode(const Umt5Config& config, Weights& weights, std::span<const std::int64_t> ids,
                       Device& device, DType compute);

struct Umt5Runtime {
  Device* device = nullptr;
  DType compute = DType::BF16;  // as given to umt5_spec
  Tap tap = nullptr;            // empty: nobody looks
};

// Encodes several prompts in one pass, each on its own: the bits of umt5_encode, but a weight is fetched
// once for all of them.  Each part shows its results prompt by prompt.
std::vector<at::Tensor> umt5_encode(const Umt5Config& config, Weights& weights,
                                    std::span<const std::vector<std::int64_t>> prompts,
                                    const Umt5Runtime& runtime);

// The row of the position bias table for `distance` = key - query: 0 to 31, farther than 90 all alike.
std::int64_t umt5_bucket(std::int64_t distance);

}  // namespace ferry::model
