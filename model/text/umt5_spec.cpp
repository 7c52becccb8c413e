#include "model/text/umt5_spec.h"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

#include "base/error.h"

namespace ferry::model {

namespace {

using Shape = std::vector<std::int64_t>;

constexpr std::int64_t kBuckets = 32;

ModuleSpec module(const std::string& name, ModuleKind kind, const Shape& shape, DType dtype) {
  return {.name = name,
          .kind = kind,
          .tensors = {{.key = name + ".weight", .shape = shape, .dtype = dtype}},
          .host_only = false};
}

// In the order of use in a forward.
BlockSpec block(const Umt5Config& c, std::int64_t index, DType dtype) {
  const std::string name = fmt::format("blocks.{}", index);
  const Shape inward = {c.attn_dim, c.dim};
  const auto of = [&](const char* part, ModuleKind kind, const Shape& shape) {
    return module(name + part, kind, shape, dtype);
  };
  return {.name = name,
          .modules = {of(".norm1", ModuleKind::RmsNorm, {c.dim}), of(".attn.q", ModuleKind::Linear, inward),
                      of(".attn.k", ModuleKind::Linear, inward), of(".attn.v", ModuleKind::Linear, inward),
                      of(".pos_embedding.embedding", ModuleKind::Embedding, {c.buckets, c.heads}),
                      of(".attn.o", ModuleKind::Linear, {c.dim, c.attn_dim}),
                      of(".norm2", ModuleKind::RmsNorm, {c.dim}),
                      of(".ffn.gate.0", ModuleKind::Linear, {c.ffn_dim, c.dim}),
                      of(".ffn.fc1", ModuleKind::Linear, {c.ffn_dim, c.dim}),
                      of(".ffn.fc2", ModuleKind::Linear, {c.dim, c.ffn_dim})}};
}

void check(const Umt5Config& c, DType compute) {
  if (compute != DType::BF16 && compute != DType::F32) {
    throw std::invalid_argument(fmt::format("umt5_spec: computes in bf16 or fp32, not {}", name_of(compute)));
  }
  const std::int64_t least = std::min({c.vocab, c.dim, c.attn_dim, c.ffn_dim, c.heads, c.layers, c.text_len});
  if (least < 1 || c.attn_dim % c.heads != 0) {
    throw std::invalid_argument(
        fmt::format("umt5_spec: vocab {}, dim {}, attn_dim {}, ffn_dim {}, heads {}, layers {}, text_len {}",
                    c.vocab, c.dim, c.attn_dim, c.ffn_dim, c.heads, c.layers, c.text_len));
  }
  if (c.buckets != kBuckets) {
    throw UserError(
        fmt::format("text encoder: {} relative position buckets; umT5 has {}", c.buckets, kBuckets));
  }
}

}  // namespace

NetworkSpec umt5_spec(const Umt5Config& config, DType compute) {
  check(config, compute);
  ModuleSpec embedding =
      module("token_embedding", ModuleKind::Embedding, {config.vocab, config.dim}, compute);
  embedding.host_only = true;
  NetworkSpec spec{.name = "text_encoder",
                   .head = {embedding},
                   .blocks = {},
                   .tail = {module("norm", ModuleKind::RmsNorm, {config.dim}, compute)},
                   .compute = compute};
  for (std::int64_t i = 0; i < config.layers; ++i) spec.blocks.push_back(block(config, i, compute));
  return spec;
}

}  // namespace ferry::model
