// A small network that reads every tensor of its weights, and ranks made of threads: what the tests of
// offload/ run.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <string>
#include <vector>

#include "base/device.h"
#include "model/weights.h"
#include "offload/arena/arena.h"
#include "offload/stage.h"
#include "parallel/group.h"
#include "tests/unit/offload_plans.h"

namespace ferry::testing {

struct ToyShape {
  int layers = 7;
  std::int64_t dim = 96;
  DType compute = DType::BF16;
  bool host_table = true;  // an embedding that stays on the host
  bool q_once = false;     // q is a module that only the first forward uses
};

// What a network keeps of its modules that only the first forward uses: q's weight and bias, by block.
using ToyKept = std::vector<std::vector<at::Tensor>>;

// head: table (host only), in; blocks: norm (fp32), modulation (fp32), q, k, ffn (compute); tail: out.
model::NetworkSpec toy_spec(const ToyShape& shape = {});

// Element i of `key` before its rounding to a dtype: a hash, small, the same everywhere.
float toy_value(const std::string& key, std::int64_t i);
float toy_value(std::size_t key_hash, std::int64_t i);  // std::hash of the key

// Gives every tensor its toy_value()s.
offload::TensorSource toy_source();

// One forward: [8, dim] fp32, a function of every byte of every tensor.  Each branch starts from another
// input, and the branches go through each block together.  `around_exchange` is called in each block, twice,
// where a network would exchange.  With `kept` q is acquired while that is empty, which it fills.
std::vector<at::Tensor> toy_forward(model::Weights& weights, int branches = 1,
                                    const std::function<void(int block)>& around_exchange = {},
                                    ToyKept* kept = nullptr);

// The same without strategies: on weights that are simply there.
std::vector<at::Tensor> toy_reference(const ToyShape& shape, int branches = 1);

// An arena that this process has to itself, loaded.
std::unique_ptr<offload::NodeArena> toy_arena(const ToyShape& shape, const offload::Options& options = {},
                                              int weight_ranks = 1);

// Runs `body` on `ranks` threads that are each other's peers.  The first exception is thrown again.
void run_ranks(int ranks, const std::function<void(const parallel::Peers&)>& body);

bool same_bits(const at::Tensor& a, const at::Tensor& b);
bool same_bits(const std::vector<at::Tensor>& a, const std::vector<at::Tensor>& b);

}  // namespace ferry::testing
