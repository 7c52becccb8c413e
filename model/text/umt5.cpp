#include "model/text/umt5.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/bmm.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/pow.h>
#include <ATen/ops/rsqrt.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/tanh.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <stdexcept>
#include <string_view>
#include <utility>

#include "model/tensor.h"
#include "model/torch_stream.h"

namespace ferry::model {

namespace {

// One tensor per prompt: a module is fetched once and used for all of them.
using Batch = std::vector<at::Tensor>;

at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps) {
  const at::Tensor wide = x.to(at::kFloat);
  const at::Tensor scale = at::rsqrt(at::pow(wide, 2).mean(-1, /*keepdim=*/true) + eps);
  return weight * (wide * scale).to(x.scalar_type());
}

// The tanh approximation, rounded after every operation: the model was trained with these bits, and at::gelu,
// which rounds once, differs visibly in bf16.
at::Tensor stepwise_gelu(const at::Tensor& z) {
  const at::Tensor inner = (z + at::pow(z, 3.0) * 0.044715) * 0.7978845608028654;
  return z * 0.5 * (at::tanh(inner) + 1.0);
}

// Rows of the bias table for the distances 1 - Lt .. Lt - 1: [2 Lt - 1].
at::Tensor bucket_rows(std::int64_t tokens, at::Device device) {
  at::Tensor rows = at::empty({2 * tokens - 1}, at::kLong);
  auto* row = rows.mutable_data_ptr<std::int64_t>();
  for (std::int64_t distance = 1 - tokens; distance < tokens; ++distance) *row++ = umt5_bucket(distance);
  return rows.to(device);
}

// The bias of every (query, key) from the table [32, heads]: [heads, Lt, Lt].
at::Tensor position_bias(const at::Tensor& table, const at::Tensor& rows) {
  const std::int64_t tokens = (rows.size(0) + 1) / 2;
  const at::Tensor by_distance = at::index_select(table.t(), 1, rows);
  // Query i uses the window of Lt distances that starts at -i: window Lt - 1 - i.
  return by_distance.unfold(1, tokens, 1).flip(1);
}

// [Lt, heads * d] to [heads, Lt, d]
at::Tensor by_head(const at::Tensor& x, std::int64_t heads) {
  return x.view({x.size(0), heads, -1}).transpose(0, 1);
}

// q, k, v [Lt, heads * d]; bias [heads, Lt, Lt].  umT5 does not scale the products.
at::Tensor attend(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const at::Tensor& bias) {
  const std::int64_t heads = bias.size(0);
  const at::Tensor scores = at::bmm(by_head(q, heads), by_head(k, heads).transpose(1, 2)) + bias;
  const at::Tensor weights = at::softmax(scores, -1);  // fp32 inside, rounded once
  return at::bmm(weights, by_head(v, heads)).transpose(0, 1).reshape(q.sizes());
}

// One pass over the network.
class Forward {
 public:
  Forward(const Umt5Config& config, Weights& weights, const Tap& tap, Batch x, Batch rows)
      : config_(config), weights_(weights), tap_(tap), x_(std::move(x)), rows_(std::move(rows)) {}

  Batch run() {
    PassScope pass(weights_, {.kind = "forward", .branches = static_cast<int>(x_.size())});
    show("token_embedding", ModuleId::kHead, x_);
    for (int i = 0; i < config_.layers; ++i) {
      const BlockScope scope(weights_, i);
      block_ = i;
      attention();
      show("attn", i, x_);
      feed_forward();
      show("ffn", i, x_);
    }
    Batch out = norm(id_of(Umt5Tail::Norm));
    show("norm", ModuleId::kTail, out);
    pass.end();
    return out;
  }

 private:
  void show(std::string_view name, int block, const Batch& values) {
    if (!tap_) return;
    for (const at::Tensor& value : values) tap_(name, block, value);
  }

  Batch norm(ModuleId id) {
    const ModuleScope module(weights_, id);
    Batch out;
    for (const at::Tensor& x : x_) out.push_back(rms_norm(x, module[0], config_.eps));
    return out;
  }

  Batch linear(Umt5Block id, const Batch& in) {
    const ModuleScope module(weights_, id_of(block_, id));
    Batch out;
    for (const at::Tensor& x : in) out.push_back(at::linear(x, module[0]));
    return out;
  }

  // Position biases [heads, Lt, Lt].
  Batch biases() {
    const ModuleScope module(weights_, id_of(block_, Umt5Block::PositionBias));
    Batch out;
    for (const at::Tensor& rows : rows_) out.push_back(position_bias(module[0], rows));
    return out;
  }

  void attention() {
    const Batch n = norm(id_of(block_, Umt5Block::Norm1));
    const Batch q = linear(Umt5Block::Q, n);
    const Batch k = linear(Umt5Block::K, n);
    const Batch v = linear(Umt5Block::V, n);
    const Batch bias = biases();
    Batch out;
    for (std::size_t i = 0; i < n.size(); ++i) out.push_back(attend(q[i], k[i], v[i], bias[i]));
    add(linear(Umt5Block::O, out));
  }

  void feed_forward() {
    const Batch n = norm(id_of(block_, Umt5Block::Norm2));
    Batch gated = linear(Umt5Block::FfnGate, n);
    for (at::Tensor& gate : gated) gate = stepwise_gelu(gate);
    const Batch value = linear(Umt5Block::FfnFc1, n);
    for (std::size_t i = 0; i < n.size(); ++i) gated[i] = value[i] * gated[i];
    add(linear(Umt5Block::FfnFc2, gated));
  }

  void add(const Batch& change) {
    for (std::size_t i = 0; i < x_.size(); ++i) x_[i] = x_[i] + change[i];
  }

  const Umt5Config& config_;
  Weights& weights_;
  const Tap& tap_;
  Batch x_;     // residual streams [Lt, dim]
  Batch rows_;  // rows of the bias tables
  int block_ = 0;
};

void check(const Umt5Config& config, std::span<const std::int64_t> ids) {
  const auto count = static_cast<std::int64_t>(ids.size());
  if (count < 1 || count > config.text_len) {
    throw std::invalid_argument(fmt::format("umT5: {} tokens, text_len {}", count, config.text_len));
  }
  for (const std::int64_t id : ids) {
    if (id < 0 || id >= config.vocab) {
      throw std::invalid_argument(fmt::format("umT5: token {}, vocabulary {}", id, config.vocab));
    }
  }
}

at::Tensor embeddings(const at::Tensor& table, const std::vector<std::int64_t>& ids, at::Device device) {
  at::Tensor index = at::empty({static_cast<std::int64_t>(ids.size())}, at::kLong);
  std::copy(ids.begin(), ids.end(), index.mutable_data_ptr<std::int64_t>());
  return at::index_select(table, 0, index).to(device);
}

}  // namespace

std::int64_t umt5_bucket(std::int64_t distance) {
  // First distances of the logarithmic buckets 8, 9, ... 15; a table, because at 16, 32 and 64 the formula
  // depends on the logarithm's last bit.
  constexpr std::array<std::int64_t, 8> kBegins = {8, 12, 16, 23, 32, 46, 64, 91};
  const std::int64_t offset = distance > 0 ? 16 : 0;
  const std::int64_t size = distance < 0 ? -distance : distance;
  if (size < kBegins[0]) return offset + size;
  return offset + 7 + (std::upper_bound(kBegins.begin(), kBegins.end(), size) - kBegins.begin());
}

Umt5Encoder::Umt5Encoder(const Umt5Config& config, Weights& weights, Umt5Runtime runtime)
    : config_(config), weights_(weights), runtime_(std::move(runtime)) {}

std::vector<at::Tensor> Umt5Encoder::encode(std::span<const std::vector<std::int64_t>> prompts) {
  for (const auto& ids : prompts) check(config_, ids);
  const TorchStream stream(*runtime_.device);
  const at::Device target = torch_device(*runtime_.device);
  const at::Tensor& table = weights_.on_host(id_of(Umt5Head::TokenEmbedding))[0];
  if (table.scalar_type() != scalar_type(runtime_.compute)) {
    throw std::invalid_argument(fmt::format("umT5: the weights are not {}", name_of(runtime_.compute)));
  }
  Batch x, rows;
  for (const auto& ids : prompts) {
    x.push_back(embeddings(table, ids, target));
    rows.push_back(bucket_rows(static_cast<std::int64_t>(ids.size()), target));
  }
  return Forward(config_, weights_, runtime_.tap, std::move(x), std::move(rows)).run();
}

}  // namespace ferry::model
