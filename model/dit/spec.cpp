#include "model/dit/spec.h"

#include <fmt/format.h>

#include <stdexcept>
#include <string>

namespace ferry::model {

namespace {

using Shape = std::vector<std::int64_t>;

ModuleSpec linear(const std::string& name, std::int64_t out, std::int64_t in, DType dtype) {
  return {.name = name,
          .kind = ModuleKind::Linear,
          .tensors = {{name + ".weight", {out, in}, dtype}, {name + ".bias", {out}, dtype}}};
}

ModuleSpec rms_norm(const std::string& name, std::int64_t dim) {
  return {.name = name, .kind = ModuleKind::RmsNorm, .tensors = {{name + ".weight", {dim}, DType::F32}}};
}

ModuleSpec layer_norm(const std::string& name, std::int64_t dim) {
  return {.name = name,
          .kind = ModuleKind::LayerNorm,
          .tensors = {{name + ".weight", {dim}, DType::F32}, {name + ".bias", {dim}, DType::F32}}};
}

ModuleSpec modulation(const std::string& name, std::int64_t rows, std::int64_t dim) {
  return {.name = name, .kind = ModuleKind::Parameter, .tensors = {{name, {1, rows, dim}, DType::F32}}};
}

ModuleSpec patch_embedding(const DitConfig& c, DType compute) {
  const std::string name = "patch_embedding";
  return {.name = name,
          .kind = ModuleKind::Conv,
          .tensors = {{name + ".weight", {c.dim, c.in_channels, 1, 2, 2}, compute},
                      {name + ".bias", {c.dim}, compute}}};
}

std::vector<ModuleSpec> head_modules(const DitConfig& c, DType compute) {
  return {patch_embedding(c, compute),
          linear("text_embedding.0", c.dim, c.text_dim, compute),
          linear("text_embedding.2", c.dim, c.dim, compute),
          linear("time_embedding.0", c.dim, c.freq_dim, DType::F32),
          linear("time_embedding.2", c.dim, c.dim, DType::F32),
          linear("time_projection.1", 6 * c.dim, c.dim, DType::F32)};
}

// Marks a module whose result the cross-attention caches after the first forward.
ModuleSpec once(ModuleSpec module) {
  module.once = true;
  return module;
}

BlockSpec block(const DitConfig& c, std::int64_t index, DType compute) {
  const std::string name = fmt::format("blocks.{}", index);
  const std::string self = name + ".self_attn.";
  const std::string cross = name + ".cross_attn.";
  const auto square = [&](const std::string& key) { return linear(key, c.dim, c.dim, compute); };
  return {.name = name,
          .modules = {modulation(name + ".modulation", 6, c.dim), square(self + "v"), square(self + "q"),
                      rms_norm(self + "norm_q", c.dim), square(self + "k"), rms_norm(self + "norm_k", c.dim),
                      square(self + "o"), layer_norm(name + ".norm3", c.dim), once(square(cross + "k")),
                      once(rms_norm(cross + "norm_k", c.dim)), once(square(cross + "v")), square(cross + "q"),
                      rms_norm(cross + "norm_q", c.dim), square(cross + "o"),
                      linear(name + ".ffn.0", c.ffn_dim, c.dim, compute),
                      linear(name + ".ffn.2", c.dim, c.ffn_dim, compute)}};
}

void check(const DitConfig& c, DType compute) {
  if (compute != DType::F32 && compute != DType::BF16) {
    throw std::invalid_argument(fmt::format("DiT compute type {}: fp32 or bf16", name_of(compute)));
  }
  for (const std::int64_t extent :
       {c.dim, c.ffn_dim, c.heads, c.layers, c.in_channels, c.out_channels, c.text_dim, c.text_len}) {
    if (extent < 1) throw std::invalid_argument(fmt::format("DiT config: an extent is {}", extent));
  }
  if (c.dim % c.heads != 0) {
    throw std::invalid_argument(fmt::format("DiT config: {} heads do not divide dim {}", c.heads, c.dim));
  }
  if (c.head_dim() % 2 != 0 || c.head_dim() < 6) {
    throw std::invalid_argument(
        fmt::format("DiT config: head_dim {} must be even, at least 6", c.head_dim()));
  }
  if (c.freq_dim < 2 || c.freq_dim % 2 != 0) {
    throw std::invalid_argument(fmt::format("DiT config: freq_dim {} must be even", c.freq_dim));
  }
}

}  // namespace

NetworkSpec dit_spec(const DitConfig& config, DType compute) {
  check(config, compute);
  NetworkSpec spec;
  spec.name = "dit";
  spec.compute = compute;
  spec.head = head_modules(config, compute);
  for (std::int64_t i = 0; i < config.layers; ++i) spec.blocks.push_back(block(config, i, compute));
  spec.tail = {modulation("head.modulation", 2, config.dim),
               linear("head.head", 4 * config.out_channels, config.dim, DType::F32)};
  return spec;
}

}  // namespace ferry::model
