#include "tests/unit/vae_reference.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/conv2d.h>
#include <ATen/ops/conv3d.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/upsample_nearest2d.h>

#include <cmath>

namespace ferry::testing {

namespace {

using Keys = std::vector<std::pair<std::string, std::vector<int64_t>>>;

void add_conv(Keys& keys, const std::string& name, std::vector<int64_t> shape) {
  keys.push_back({name + ".bias", {shape[0]}});
  keys.push_back({name + ".weight", std::move(shape)});
}

void add_residual(Keys& keys, const std::string& name, int64_t in, int64_t out) {
  keys.push_back({name + ".residual.0.gamma", {in, 1, 1, 1}});
  add_conv(keys, name + ".residual.2", {out, in, 3, 3, 3});
  keys.push_back({name + ".residual.3.gamma", {out, 1, 1, 1}});
  add_conv(keys, name + ".residual.6", {out, out, 3, 3, 3});
  if (in != out) add_conv(keys, name + ".shortcut", {out, in, 1, 1, 1});
}

void add_middle(Keys& keys, const std::string& name, int64_t width) {
  add_residual(keys, name + ".0", width, width);
  keys.push_back({name + ".1.norm.gamma", {width, 1, 1}});
  add_conv(keys, name + ".1.to_qkv", {3 * width, width, 1, 1});
  add_conv(keys, name + ".1.proj", {width, width, 1, 1});
  add_residual(keys, name + ".2", width, width);
}

void add_encoder(Keys& keys, const model::VaeConfig& config) {
  int64_t width = config.base_dim;
  int index = 0;
  const auto name = [&] { return "encoder.downsamples." + std::to_string(index++); };
  add_conv(keys, "encoder.conv1", {width, 3, 3, 3, 3});
  for (size_t i = 0; i < config.dim_mult.size(); ++i) {
    const int64_t out = config.base_dim * config.dim_mult[i];
    for (int64_t block = 0; block < config.res_blocks; ++block) {
      add_residual(keys, name(), width, out);
      width = out;
    }
    if (i + 1 == config.dim_mult.size()) break;
    const std::string down = name();
    add_conv(keys, down + ".resample.1", {width, width, 3, 3});
    if (config.temporal_down[i]) add_conv(keys, down + ".time_conv", {width, width, 3, 1, 1});
  }
  add_middle(keys, "encoder.middle", width);
  keys.push_back({"encoder.head.0.gamma", {width, 1, 1, 1}});
  add_conv(keys, "encoder.head.2", {2 * config.z_dim, width, 3, 3, 3});
}

void add_decoder(Keys& keys, const model::VaeConfig& config) {
  int64_t width = config.base_dim * config.dim_mult.back();
  int index = 0;
  const auto name = [&] { return "decoder.upsamples." + std::to_string(index++); };
  add_conv(keys, "decoder.conv1", {width, config.z_dim, 3, 3, 3});
  add_middle(keys, "decoder.middle", width);
  for (size_t i = config.dim_mult.size(); i-- > 0;) {
    const int64_t out = config.base_dim * config.dim_mult[i];
    for (int64_t block = 0; block <= config.res_blocks; ++block) {
      add_residual(keys, name(), width, out);
      width = out;
    }
    if (i == 0) break;
    const std::string up = name();
    add_conv(keys, up + ".resample.1", {width / 2, width, 3, 3});
    if (config.temporal_down[i - 1]) add_conv(keys, up + ".time_conv", {2 * width, width, 3, 1, 1});
    width /= 2;
  }
  keys.push_back({"decoder.head.0.gamma", {width, 1, 1, 1}});
  add_conv(keys, "decoder.head.2", {3, width, 3, 3, 3});
}

// Activations here are [1, C, T, H, W].
class Reference {
 public:
  Reference(const Tensors& weights, at::ScalarType type) : weights_(weights), type_(type) {}

  at::Tensor decode(const model::VaeConfig& config, const at::Tensor& latent) const {
    at::Tensor x = conv("decoder.conv1", conv("conv2", denormalise(config, latent)));
    x = residual("decoder.middle.0", x);
    x = attention("decoder.middle.1", x);
    x = residual("decoder.middle.2", x);
    int index = 0;
    for (size_t i = config.dim_mult.size(); i-- > 0;) {
      for (int64_t block = 0; block <= config.res_blocks; ++block) {
        x = residual("decoder.upsamples." + std::to_string(index++), x);
      }
      if (i > 0) x = up("decoder.upsamples." + std::to_string(index++), x);
    }
    return conv("decoder.head.2", at::silu(norm("decoder.head.0.gamma", x)))[0];
  }

 private:
  at::Tensor weight(const std::string& key) const { return weights_.at(key).to(type_); }
  bool has(const std::string& key) const { return weights_.contains(key); }

  at::Tensor denormalise(const model::VaeConfig& config, const at::Tensor& latent) const {
    const at::Tensor mean = at::tensor(config.latents_mean, at::kDouble).view({1, -1, 1, 1, 1});
    const at::Tensor deviation = at::tensor(config.latents_std, at::kDouble).view({1, -1, 1, 1, 1});
    return (latent.to(at::kDouble).unsqueeze(0) * deviation + mean).to(type_);
  }

  // Causal in time: all the padding is in the past.
  at::Tensor conv(const std::string& name, const at::Tensor& x) const {
    const at::Tensor w = weight(name + ".weight");
    const int64_t past = w.size(2) - 1;
    const int64_t h = w.size(3) / 2;
    const int64_t w_pad = w.size(4) / 2;
    return at::conv3d(at::constant_pad_nd(x, {w_pad, w_pad, h, h, past, 0}), w, weight(name + ".bias"));
  }

  at::Tensor norm(const std::string& key, const at::Tensor& x) const {
    const at::Tensor length = at::linalg_vector_norm(x, 2, {1}, /*keepdim=*/true).clamp_min(1e-12);
    const double root = std::sqrt(static_cast<double>(x.size(1)));
    return x / length * root * weight(key).view({1, -1, 1, 1, 1});
  }

  at::Tensor residual(const std::string& name, const at::Tensor& x) const {
    at::Tensor y = conv(name + ".residual.2", at::silu(norm(name + ".residual.0.gamma", x)));
    y = conv(name + ".residual.6", at::silu(norm(name + ".residual.3.gamma", y)));
    return y + (has(name + ".shortcut.weight") ? conv(name + ".shortcut", x) : x);
  }

  static at::Tensor fold(const at::Tensor& x) { return x[0].transpose(0, 1); }  // [T, C, H, W]
  static at::Tensor unfold(const at::Tensor& x) { return x.transpose(0, 1).unsqueeze(0); }

  at::Tensor attention(const std::string& name, const at::Tensor& x) const {
    const at::Tensor frames = fold(norm(name + ".norm.gamma", x));
    const at::Tensor qkv =
        at::conv2d(frames, weight(name + ".to_qkv.weight"), weight(name + ".to_qkv.bias")).flatten(2);
    const auto parts = qkv.chunk(3, 1);  // each [T, C, pixels]
    const double scale = 1.0 / std::sqrt(static_cast<double>(x.size(1)));
    const at::Tensor scores = at::softmax(at::matmul(parts[0].transpose(1, 2), parts[1]) * scale, -1);
    const at::Tensor mixed = at::matmul(parts[2], scores.transpose(1, 2)).view(frames.sizes());
    return x + unfold(at::conv2d(mixed, weight(name + ".proj.weight"), weight(name + ".proj.bias")));
  }

  // The first frame stays one; the others form a causal sequence of their own and become two each.
  at::Tensor up(const std::string& name, at::Tensor x) const {
    if (has(name + ".time_conv.weight") && x.size(2) > 1) {
      const at::Tensor rest = conv(name + ".time_conv", x.narrow(2, 1, x.size(2) - 1));  // [1, 2C, t, H, W]
      const at::Tensor pairs = rest.unflatten(1, {2, -1}).permute({0, 2, 3, 1, 4, 5}).flatten(2, 3);
      x = at::cat({x.narrow(2, 0, 1), pairs}, 2);
    }
    const at::Tensor large = at::upsample_nearest2d(fold(x), {2 * x.size(3), 2 * x.size(4)});
    return unfold(at::conv2d(large, weight(name + ".resample.1.weight"), weight(name + ".resample.1.bias"),
                             /*stride=*/1, /*padding=*/1));
  }

  const Tensors& weights_;
  at::ScalarType type_;
};

}  // namespace

Keys vae_keys(const model::VaeConfig& config) {
  Keys keys;
  add_encoder(keys, config);
  add_conv(keys, "conv1", {2 * config.z_dim, 2 * config.z_dim, 1, 1, 1});
  add_conv(keys, "conv2", {config.z_dim, config.z_dim, 1, 1, 1});
  add_decoder(keys, config);
  return keys;
}

Tensors random_weights(const model::VaeConfig& config) {
  auto generator = at::detail::createCPUGenerator(20240607);
  Tensors weights;
  for (const auto& [key, shape] : vae_keys(config)) {
    at::Tensor value = at::randn(shape, generator, at::kFloat);
    if (key.ends_with(".gamma")) {
      value = value * 0.1 + 1.0;
    } else {
      value.mul_(shape.size() == 1 ? 0.1 : std::sqrt(static_cast<double>(shape[0]) / value.numel()));
    }
    weights.emplace(key, value);
  }
  return weights;
}

model::VaeConfig vae_config_of(int64_t base_dim, std::vector<int64_t> dim_mult,
                               std::vector<bool> temporal_down, int64_t res_blocks, int64_t z_dim) {
  model::VaeConfig config{base_dim, z_dim, std::move(dim_mult), res_blocks, std::move(temporal_down), {}, {}};
  for (size_t i = 0; i < static_cast<size_t>(z_dim); ++i) {
    config.latents_mean.push_back(model::wan21_latents_mean()[i % 16]);
    config.latents_std.push_back(model::wan21_latents_std()[i % 16]);
  }
  return config;
}

at::Tensor reference_decode(const model::VaeConfig& config, const Tensors& weights, const at::Tensor& latent,
                            at::ScalarType type) {
  return Reference(weights, type).decode(config, latent);
}

}  // namespace ferry::testing
