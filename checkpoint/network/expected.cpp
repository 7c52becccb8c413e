#include "checkpoint/network/expected.h"

#include <fmt/format.h>

#include <cmath>

namespace ferry::checkpoint {

namespace {

using Shape = std::vector<std::int64_t>;

// Tensors of one network, in the order of the official code.
class List {
 public:
  void add(const std::string& key, Shape shape, Fill fill, double gain = 1.0) {
    tensors_.push_back({key, std::move(shape), fill, gain});
  }
  void weight(const std::string& key, Shape shape, double gain = 1.0) {
    add(key, std::move(shape), Fill::Weight, gain);
  }
  void scale(const std::string& key, Shape shape) { add(key, std::move(shape), Fill::Scale); }
  // Weight and bias of a linear or a convolution.
  void affine(const std::string& name, const Shape& shape, double gain = 1.0) {
    weight(name + ".weight", shape, gain);
    add(name + ".bias", {shape[0]}, Fill::Bias);
  }
  std::vector<ExpectedTensor> take() { return std::move(tensors_); }

 private:
  std::vector<ExpectedTensor> tensors_;
};

// Outputs into a residual stream shrink with their number, so that its magnitude does not depend on depth.
double residual_gain(std::int64_t outputs) { return 1.0 / std::sqrt(static_cast<double>(outputs)); }

void dit_attention(List& list, const std::string& name, std::int64_t dim, double out_gain) {
  for (const char* projection : {".q", ".k", ".v"}) list.affine(name + projection, {dim, dim});
  list.affine(name + ".o", {dim, dim}, out_gain);
  list.scale(name + ".norm_q.weight", {dim});
  list.scale(name + ".norm_k.weight", {dim});
}

void residual_block(List& list, const std::string& name, std::int64_t in, std::int64_t out) {
  list.scale(name + "residual.0.gamma", {in, 1, 1, 1});
  list.affine(name + "residual.2", {out, in, 3, 3, 3});
  list.scale(name + "residual.3.gamma", {out, 1, 1, 1});
  list.affine(name + "residual.6", {out, out, 3, 3, 3}, 0.5);
  if (in != out) list.affine(name + "shortcut", {out, in, 1, 1, 1});
}

void middle(List& list, const std::string& name, std::int64_t width) {
  residual_block(list, name + "0.", width, width);
  list.scale(name + "1.norm.gamma", {width, 1, 1});
  list.affine(name + "1.to_qkv", {3 * width, width, 1, 1});
  list.affine(name + "1.proj", {width, width, 1, 1}, 0.5);
  residual_block(list, name + "2.", width, width);
}

void vae_head(List& list, const std::string& name, std::int64_t in, std::int64_t out) {
  list.scale(name + "0.gamma", {in, 1, 1, 1});
  list.affine(name + "2", {out, in, 3, 3, 3});
}

void vae_encoder(List& list, const model::VaeConfig& config) {
  std::int64_t width = config.base_dim;
  std::int64_t index = 0;
  const auto unit = [&index] { return fmt::format("encoder.downsamples.{}.", index++); };
  list.affine("encoder.conv1", {width, 3, 3, 3, 3});
  for (std::size_t stage = 0; stage < config.dim_mult.size(); ++stage) {
    const std::int64_t out = config.base_dim * config.dim_mult[stage];
    for (std::int64_t i = 0; i < config.res_blocks; ++i) {
      residual_block(list, unit(), i == 0 ? width : out, out);
    }
    width = out;
    if (stage + 1 == config.dim_mult.size()) break;
    const std::string name = unit();
    list.affine(name + "resample.1", {width, width, 3, 3});
    if (config.temporal_down[stage]) list.affine(name + "time_conv", {width, width, 3, 1, 1});
  }
  middle(list, "encoder.middle.", width);
  vae_head(list, "encoder.head.", width, 2 * config.z_dim);
}

// Up-samplers halve the width, so all stages but the first start with half the width of the previous one.
void vae_decoder(List& list, const model::VaeConfig& config) {
  const std::size_t stages = config.dim_mult.size();
  std::int64_t width = config.base_dim * config.dim_mult.back();
  std::int64_t index = 0;
  const auto unit = [&index] { return fmt::format("decoder.upsamples.{}.", index++); };
  list.affine("decoder.conv1", {width, config.z_dim, 3, 3, 3});
  middle(list, "decoder.middle.", width);
  for (std::size_t stage = 0; stage < stages; ++stage) {
    const std::int64_t out = config.base_dim * config.dim_mult[stages - 1 - stage];
    for (std::int64_t i = 0; i <= config.res_blocks; ++i) {
      residual_block(list, unit(), i == 0 ? width : out, out);
    }
    width = out;
    if (stage + 1 == stages) break;
    const std::string name = unit();
    list.affine(name + "resample.1", {width / 2, width, 3, 3});
    if (config.temporal_down[stages - 2 - stage])
      list.affine(name + "time_conv", {2 * width, width, 3, 1, 1});
    width /= 2;
  }
  vae_head(list, "decoder.head.", width, 3);
}

}  // namespace

std::vector<ExpectedTensor> expected_dit(const model::DitConfig& config) {
  const std::int64_t dim = config.dim;
  const double out_gain = residual_gain(3 * config.layers);
  List list;
  list.affine("patch_embedding", {dim, config.in_channels, 1, 2, 2});
  list.affine("text_embedding.0", {dim, config.text_dim});
  list.affine("text_embedding.2", {dim, dim});
  list.affine("time_embedding.0", {dim, config.freq_dim});
  list.affine("time_embedding.2", {dim, dim});
  list.affine("time_projection.1", {6 * dim, dim}, 0.5);
  for (std::int64_t i = 0; i < config.layers; ++i) {
    const std::string block = fmt::format("blocks.{}.", i);
    list.add(block + "modulation", {1, 6, dim}, Fill::Modulation);
    dit_attention(list, block + "self_attn", dim, out_gain);
    list.scale(block + "norm3.weight", {dim});
    list.add(block + "norm3.bias", {dim}, Fill::Bias);
    dit_attention(list, block + "cross_attn", dim, out_gain);
    list.affine(block + "ffn.0", {config.ffn_dim, dim});
    list.affine(block + "ffn.2", {dim, config.ffn_dim}, out_gain);
  }
  list.add("head.modulation", {1, 2, dim}, Fill::Modulation);
  list.affine("head.head", {4 * config.out_channels, dim});
  return list.take();
}

std::vector<ExpectedTensor> expected_vae(const model::VaeConfig& config) {
  List list;
  vae_encoder(list, config);
  list.affine("conv1", {2 * config.z_dim, 2 * config.z_dim, 1, 1, 1});
  list.affine("conv2", {config.z_dim, config.z_dim, 1, 1, 1});
  vae_decoder(list, config);
  return list.take();
}

// umT5 does not divide its scores by the root of the head size; small queries compensate.
std::vector<ExpectedTensor> expected_umt5(const model::Umt5Config& config) {
  const double out_gain = residual_gain(2 * config.layers);
  const double query_gain = 1.0 / std::sqrt(static_cast<double>(config.attn_dim / config.heads));
  List list;
  list.add("token_embedding.weight", {config.vocab, config.dim}, Fill::Embedding);
  for (std::int64_t i = 0; i < config.layers; ++i) {
    const std::string block = fmt::format("blocks.{}.", i);
    list.scale(block + "norm1.weight", {config.dim});
    list.weight(block + "attn.q.weight", {config.attn_dim, config.dim}, query_gain);
    list.weight(block + "attn.k.weight", {config.attn_dim, config.dim});
    list.weight(block + "attn.v.weight", {config.attn_dim, config.dim});
    list.weight(block + "attn.o.weight", {config.dim, config.attn_dim}, out_gain);
    list.scale(block + "norm2.weight", {config.dim});
    list.weight(block + "ffn.gate.0.weight", {config.ffn_dim, config.dim});
    list.weight(block + "ffn.fc1.weight", {config.ffn_dim, config.dim});
    list.weight(block + "ffn.fc2.weight", {config.dim, config.ffn_dim}, out_gain);
    list.add(block + "pos_embedding.embedding.weight", {config.buckets, config.heads}, Fill::Modulation);
  }
  list.scale("norm.weight", {config.dim});
  return list.take();
}

}  // namespace ferry::checkpoint
