#include "tests/unit/offload_dit.h"

#include <ATen/TensorOperators.h>

#include <cmath>

#include "model/tensor.h"
#include "model/torch_stream.h"
#include "tests/support/plain_weights.h"
#include "tests/unit/offload_toy.h"

namespace ferry::testing {

namespace {

// toy_value()s at the scale of an initialised network.
offload::TensorSource dit_source() {
  return [](const model::TensorSpec& spec, std::byte* tensor, std::int64_t row_begin, std::int64_t row_end) {
    std::int64_t row = 1;
    for (std::size_t d = 1; d < spec.shape.size(); ++d) row *= spec.shape[d];
    const bool scale = spec.key.find("norm") != std::string::npos && spec.key.ends_with("weight");
    const float width = scale ? 0.2F : 12.0F / std::sqrt(static_cast<float>(row));
    const std::size_t key = std::hash<std::string>{}(spec.key);
    for (std::int64_t i = row_begin * row; i < row_end * row; ++i) {
      const float value = toy_value(key, i) * width + (scale ? 1.0F : 0.0F);
      convert(tensor + static_cast<std::size_t>(i) * size_of(spec.dtype), spec.dtype, &value, DType::F32, 1);
    }
  };
}

// The two velocities, conditional first.
std::vector<at::Tensor> velocities(model::Dit& dit, const at::Tensor& x, double timestep, bool paired,
                                   std::vector<model::DitContext>& contexts) {
  model::DitContext* both[] = {&contexts[0], &contexts[1]};
  if (paired) return dit.forward(x, timestep, both);
  std::vector<at::Tensor> found;
  for (model::DitContext*& each : both)
    found.push_back(dit.forward(x, timestep, std::span(&each, 1))[0].clone());
  return found;
}

model::DitRuntime runtime_of(const DitRig& rig, offload::StageWeights& weights) {
  model::DitRuntime runtime;
  runtime.device = rig.device;
  runtime.ulysses = rig.groups == nullptr ? nullptr : rig.groups->ulysses.get();
  runtime.exchange_stream = rig.exchange_stream;
  runtime.gate = weights.exchange_gate();
  runtime.compute = rig.compute;
  runtime.attention = rig.attention;
  return runtime;
}

// The conditional one first.
std::vector<model::DitContext> contexts_of(model::Dit& dit, const Device& device) {
  const std::int64_t width = offload_dit_config().text_dim;
  const at::Device place = model::torch_device(device);
  std::vector<model::DitContext> contexts;
  contexts.push_back(dit.encode_context(golden_input({5, width}, 0.2, 0.05).to(place)));
  contexts.push_back(dit.encode_context(golden_input({19, width}, 0.7, 0.03).to(place)));
  return contexts;
}

at::Tensor noise_on(const Device& device) {
  return golden_input({16, 2, 6, 10}, 0.3, 0.11).to(model::torch_device(device));
}

}  // namespace

model::DitConfig offload_dit_config() {
  return {.dim = 96, .ffn_dim = 200, .heads = 4, .layers = 7, .text_dim = 40, .text_len = 19};
}

std::unique_ptr<offload::NodeArena> dit_arena(const offload::NodeRanks& node, const offload::Options& options,
                                              DType compute) {
  const model::NetworkSpec spec = model::dit_spec(offload_dit_config(), compute);
  auto arena =
      std::make_unique<offload::NodeArena>(offload::make_plan(spec, options, node.peers.size).arena, node);
  arena->load(dit_source(), 1, {});
  return arena;
}

std::vector<offload::Options> ways_of_weights() {
  std::vector<offload::Options> ways = {{.type = offload::StrategyKind::None}};
  for (const auto transport : {offload::Transport::Full, offload::Transport::Sharded}) {
    for (const auto interleave : {offload::Interleave::Free, offload::Interleave::Gated}) {
      ways.push_back(
          {.type = offload::StrategyKind::Async, .transport = transport, .interleave = interleave});
    }
  }
  ways.push_back(
      {.type = offload::StrategyKind::Async, .share = 0.5, .interleave = offload::Interleave::Free});
  return ways;
}

DitForwards::DitForwards(const DitRig& rig, offload::StageWeights& weights)
    : on_(*rig.device),
      dit_(offload_dit_config(), weights, runtime_of(rig, weights)),
      contexts_(contexts_of(dit_, *rig.device)),
      latent_(noise_on(*rig.device)) {}

void DitForwards::run(double timestep) { velocities(dit_, latent_, timestep, true, contexts_); }

at::Tensor denoise(const DitRig& rig, offload::StageWeights& weights, int steps) {
  const model::TorchStream on(*rig.device);
  model::Dit dit(offload_dit_config(), weights, runtime_of(rig, weights));
  std::vector<model::DitContext> contexts = contexts_of(dit, *rig.device);
  at::Tensor x = noise_on(*rig.device);
  for (int i = 0; i < steps; ++i) {
    const auto v = velocities(dit, x, 900.0 - 250.0 * i, rig.paired, contexts);
    x = x - (v[1] + (v[0] - v[1]) * 5.0) * 0.1;
  }
  // The caller reads it on another stream.
  rig.device->compute().synchronize();
  return x;
}

}  // namespace ferry::testing
