#include "bench/forward_floor.h"

#include <ATen/ops/linear.h>
#include <ATen/ops/randn.h>

#include <algorithm>

#include "base/clock.h"
#include "model/tensor.h"
#include "parallel/ulysses.h"

namespace ferry::bench {

using model::DitBlock;

ForwardFloor::ForwardFloor(const model::DitConfig& config, model::Weights& weights,
                           const model::DitRuntime& runtime, std::int64_t tokens, int branches)
    : config_(config),
      weights_(weights),
      device_(*runtime.device),
      branches_(branches),
      tokens_(tokens),
      attention_(runtime.attention) {
  const int ranks = runtime.ulysses == nullptr ? 1 : runtime.ulysses->size();
  const parallel::Shard shard = parallel::shard_of(tokens, ranks, 0);
  rows_ = shard.per_rank;
  queries_ = shard.padded;
  heads_ = parallel::HeadSplit(config.heads, ranks).most();
  const auto options =
      at::TensorOptions(model::torch_device(device_)).dtype(model::scalar_type(runtime.compute));
  const auto heads = [&](std::int64_t rows, std::int64_t count) {
    return at::randn({rows, count * config.head_dim()}, options);
  };
  noise_ = at::randn({rows_ * std::max(config.dim, config.ffn_dim)}, options);
  query_ = heads(queries_, heads_);
  key_ = heads(tokens_, heads_);
  value_ = heads(tokens_, heads_);
  text_query_ = heads(rows_, config.heads);
  text_key_ = heads(config.text_len, config.heads);
  text_value_ = heads(config.text_len, config.heads);
}

void ForwardFloor::linear(int block, DitBlock module, std::int64_t in) {
  const at::Tensor x = noise_.narrow(0, 0, rows_ * in).view({rows_, in});
  const model::ModuleScope scope(weights_, model::id_of(block, module));
  for (int i = 0; i < branches_; ++i) at::linear(x, scope[0], scope[1]);
}

void ForwardFloor::linears() {
  model::PassScope pass(weights_, {.kind = "floor", .branches = branches_});
  for (int block = 0; block < static_cast<int>(config_.layers); ++block) {
    const model::BlockScope scope(weights_, block);
    for (const DitBlock module : {DitBlock::SelfV, DitBlock::SelfQ, DitBlock::SelfK, DitBlock::SelfO,
                                  DitBlock::CrossQ, DitBlock::CrossO, DitBlock::Ffn0}) {
      linear(block, module, config_.dim);
    }
    linear(block, DitBlock::Ffn2, config_.ffn_dim);
  }
  pass.end();
}

void ForwardFloor::attentions() {
  for (std::int64_t i = 0; i < config_.layers * branches_; ++i) {
    attention_(query_, key_, value_, config_.head_dim());
    attention_(text_query_, text_key_, text_value_, config_.head_dim());
  }
}

template <class Work>
double ForwardFloor::timed(const Work& work) {
  device_.compute().synchronize();
  const auto begin = Clock::now();
  work();
  device_.compute().synchronize();
  return seconds_since(begin);
}

FloorSeconds ForwardFloor::seconds() {
  return {.linear = timed([&] { linears(); }), .attention = timed([&] { attentions(); })};
}

}  // namespace ferry::bench
