#include "bench/whole_block.h"

#include <ATen/ops/randn.h>

#include <algorithm>
#include <map>
#include <string>

#include "model/dit/dit.h"
#include "model/tensor.h"
#include "worker/planner/step_time.h"

namespace ferry::bench {

namespace {

constexpr double kTimestep = 500;

// Random weights in the device's memory, each with pages of its own.
class RandomWeights final : public model::Weights {
 public:
  RandomWeights(const Probe& probe, model::NetworkSpec spec) : spec_(std::move(spec)) {
    for (const auto* modules : {&spec_.head, &spec_.tail}) add(probe, *modules);
    for (const model::BlockSpec& block : spec_.blocks) add(probe, block.modules);
  }
  const model::NetworkSpec& spec() const override { return spec_; }
  void begin(const model::PassKey&) override {}
  void end() override {}
  void acquire_block(int) override {}
  void release_block(int) override {}
  model::ModuleView acquire(model::ModuleId id) override { return {.tensors = tensors_of(id)}; }
  void release(model::ModuleId) override {}
  std::span<const at::Tensor> on_host(model::ModuleId id) override { return tensors_of(id); }

 private:
  void add(const Probe& probe, const std::vector<model::ModuleSpec>& modules) {
    for (const model::ModuleSpec& module : modules) {
      for (const model::TensorSpec& tensor : module.tensors) {
        std::int64_t elements = 1;
        for (const std::int64_t extent : tensor.shape) elements *= extent;
        tensors_[module.name].push_back(
            random_pool(probe, elements).to(model::scalar_type(tensor.dtype)).clone().view(tensor.shape));
      }
    }
  }
  std::span<const at::Tensor> tensors_of(model::ModuleId id) const {
    return tensors_.at(model::module_of(spec_, id).name);
  }

  model::NetworkSpec spec_;
  std::map<std::string, std::vector<at::Tensor>> tensors_;
};

double forward_seconds(const Probe& probe, const RateShapes& shapes, RandomWeights& weights, bool divided) {
  model::DitRuntime runtime;
  runtime.device = &probe.device;
  runtime.compute = probe.compute;
  runtime.attention = probe.attention;
  if (divided) {
    runtime.ulysses = probe.group;
    runtime.exchange_stream = probe.traffic_stream;
  }
  model::Dit dit(shapes.dit, weights, runtime);
  const at::TensorOptions options(model::torch_device(probe.device));
  model::DitContext context =
      dit.encode_context(at::randn({shapes.dit.text_len, shapes.dit.text_dim}, options));
  model::DitContext* const branch = &context;
  const at::Tensor latent = at::randn(
      {shapes.dit.in_channels, (shapes.frames - 1) / 4 + 1, shapes.height / 8, shapes.width / 8}, options);
  dit.forward(latent, kTimestep, {&branch, 1});
  return seconds_of(probe, [&] { dit.forward(latent, kTimestep, {&branch, 1}); });
}

std::int64_t tokens_of(const RateShapes& shapes) {
  return ((shapes.frames - 1) / 4 + 1) * (shapes.height / 16) * (shapes.width / 16);
}

struct Predicted {
  double compute_s = 0;
  double exchange_s = 0;
};

Predicted predicted(const Probe& probe, const RateShapes& shapes, const worker::RankRates& rates,
                    bool divided) {
  const worker::ForwardShape shape{.dit = shapes.dit,
                                   .compute = probe.compute,
                                   .tokens = tokens_of(shapes),
                                   .ulysses = divided ? probe.ranks : 1};
  worker::RateUse use;
  const worker::ForwardTime time = worker::forward_time(shape, {}, rates, use);
  const auto later = static_cast<double>(shapes.dit.layers - 1);
  return {.compute_s = time.head_s + time.tail_s + time.first.compute_s + later * time.block.compute_s,
          .exchange_s = time.first.exchange_s + later * time.block.exchange_s};
}

}  // namespace

void measure_blocks(const Probe& probe, const RateShapes& shapes, worker::RankRates& rates) {
  RandomWeights weights(probe, model::dit_spec(shapes.dit, probe.compute));
  const auto layers = static_cast<double>(shapes.dit.layers);
  rates.block_s = fitted(0);
  rates.ranks_loss = fitted(0);
  const double alone = forward_seconds(probe, shapes, weights, false);
  const double rest = std::max(0.0, alone - predicted(probe, shapes, rates, false).compute_s) / layers;
  if (probe.device.type() == DeviceType::Cuda) {
    rates.block_s.value = rest;  // gaps between kernels, the same for every shape
  } else {
    // Memory that is taken and read again grows with the rows.
    const double bytes =
        1e-9 * static_cast<double>(tokens_of(shapes) * worker::pass_bytes(shapes.dit, probe.compute, 1));
    rates.pass_gbps = fitted(bytes / (bytes / rates.pass_gbps.value + rest));
  }
  rates.exchange_exposed = fitted(1);
  if (probe.group == nullptr) return;
  const double divided = forward_seconds(probe, shapes, weights, true);
  const Predicted parts = predicted(probe, shapes, rates, true);
  rates.exchange_exposed.value = std::clamp((divided - parts.compute_s) / parts.exchange_s, 0.0, 1.0);
  const double over = divided - parts.compute_s - parts.exchange_s;
  rates.ranks_loss.value = std::max(0.0, over / parts.compute_s);
}

}  // namespace ferry::bench
