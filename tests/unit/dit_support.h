// Small DiTs with known weights, for the tests of model/dit.
#pragma once

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/randn.h>

#include <cmath>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "model/dit/dit.h"
#include "tests/support/plain_weights.h"

namespace ferry::testing {

// The tiny T2V model of wan21.md section 13.1.
inline model::DitConfig golden_config() {
  return {.dim = 256, .ffn_dim = 512, .heads = 2, .layers = 2, .text_dim = 64};
}

// Four heads of `head_dim`, three layers, small text.
inline model::DitConfig four_head_config(std::int64_t head_dim = 24) {
  return {
      .dim = 4 * head_dim, .ffn_dim = 10 * head_dim, .heads = 4, .layers = 3, .text_dim = 40, .text_len = 19};
}

// Weights by the deterministic fill of wan21.md section 13.
inline std::unique_ptr<PlainWeights> golden_weights(const model::DitConfig& config, DType compute,
                                                    at::Device device = at::kCPU) {
  model::NetworkSpec spec = model::dit_spec(config, compute);
  std::vector<std::pair<std::string, std::vector<std::int64_t>>> keys;
  for (const auto* tensor : all_tensors(spec)) keys.emplace_back(tensor->key, tensor->shape);
  const auto filled = golden_fill(keys);
  return std::make_unique<PlainWeights>(
      std::move(spec), [&](const model::TensorSpec& tensor) { return filled.at(tensor.key); }, device);
}

// Seeded normal weights at the scale of an initialised network, so that rounding errors stay small: linears
// 1 / sqrt(in), norm scales about 1.  The same on every rank.
inline std::unique_ptr<PlainWeights> random_weights(const model::DitConfig& config, DType compute,
                                                    at::Device device = at::kCPU) {
  auto generator = at::detail::createCPUGenerator(20240229);
  const auto fill = [&](const model::TensorSpec& tensor) {
    const at::Tensor normal = at::randn(tensor.shape, generator, at::TensorOptions(at::kFloat));
    if (tensor.key.find("norm") != std::string::npos && tensor.key.ends_with("weight"))
      return normal * 0.1 + 1.0;
    if (tensor.key.find("modulation") != std::string::npos) return normal * 0.3;
    if (tensor.shape.size() == 1) return normal * 0.1;
    return normal / std::sqrt(static_cast<double>(tensor.shape.at(1)));
  };
  return std::make_unique<PlainWeights>(model::dit_spec(config, compute), fill, device);
}

inline double l2(const at::Tensor& x) { return at::linalg_vector_norm(x.to(at::kDouble)).item<double>(); }

inline double relative_l2(const at::Tensor& x, const at::Tensor& reference) {
  return l2(x.to(at::kDouble) - reference.to(at::kDouble)) / l2(reference);
}

}  // namespace ferry::testing
