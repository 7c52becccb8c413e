#include "bench/offload.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/randn.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/clock.h"
#include "base/error.h"
#include "bench/decode.h"
#include "bench/link_speed.h"
#include "bench/shadow_traffic.h"
#include "model/tensor.h"
#include "model/torch_stream.h"

namespace ferry::bench {

namespace {

constexpr std::int64_t kPixels = 8;  // pixels per latent pixel along each edge
constexpr int kMostSteps = 40;       // limit for the share to settle; never reached once all is page-locked

at::Tensor noise(at::IntArrayRef shape, const Device& device) {
  return at::randn(shape, at::device(model::torch_device(device)));
}

struct Inputs {
  at::Tensor latent;
  at::Tensor positive;
  at::Tensor negative;
};

Inputs make_inputs(const OffloadCase& what, const Device& device) {
  const model::DitConfig& c = what.config;
  return {
      .latent = noise({c.in_channels, (what.frames - 1) / 4 + 1, what.height / kPixels, what.width / kPixels},
                      device),
      .positive = noise({c.text_len, c.text_dim}, device),
      .negative = noise({c.text_len, c.text_dim}, device)};
}

// Steps of one DiT over given weights.
class Steps {
 public:
  Steps(const OffloadCase& what, const Inputs& inputs, model::Weights& weights,
        const model::DitRuntime& runtime)
      : compute_(runtime.device->compute()),
        dit_(what.config, weights, runtime),
        latent_(inputs.latent),
        forwards_(what.paired ? 1 : what.branches),
        branches_(what.branches),
        positive_(dit_.encode_context(inputs.positive)),
        negative_(dit_.encode_context(inputs.negative)) {}

  double seconds() {
    compute_.synchronize();
    const Clock::time_point begin = Clock::now();
    step();
    compute_.synchronize();
    return seconds_since(begin);
  }
  const at::Tensor& velocity() const { return velocity_; }

 private:
  void step() {
    model::DitContext* both[] = {&positive_, &negative_};
    const auto each = static_cast<std::size_t>(branches_ / forwards_);
    for (int i = 0; i < forwards_; ++i) velocity_ = dit_.forward(latent_, 500, {both + i, each}).back();
  }
  Stream& compute_;
  model::Dit dit_;
  at::Tensor latent_;
  int forwards_;  // forwards per step
  int branches_;
  model::DitContext positive_;
  model::DitContext negative_;
  at::Tensor velocity_;
};

// One variant, set up for repeated measurement.
struct Variant {
  offload::DeviceAccount account;
  std::unique_ptr<offload::StageWeights> stage;
  std::unique_ptr<ShadowTraffic> shadow;  // nullptr unless async
  std::unique_ptr<Steps> steps;
  std::unique_ptr<Steps> beside;
  OffloadResult result;
};

// Another plan over a host copy that is there.
offload::StagePlan plan_over(const offload::NodeArena& arena, const offload::Options& options) {
  return offload::make_plan(arena.spec(), options, arena.weight_ranks());
}

double exposed(const Variant& variant) { return variant.stage->report().exposed_copy_ms * 1e-3; }

// Adds the compute measurement: resident weights with the same traffic, which nothing waits for.
void add_shadow(Variant& variant, const OffloadCase& what, offload::NodeArena& arena,
                offload::StageWeights& resident, const model::DitRuntime& runtime, const Inputs& inputs) {
  if (variant.stage->report().type != offload::StrategyKind::Async) return;
  const offload::StagePlan& plan = variant.stage->plan();
  variant.shadow =
      std::make_unique<ShadowTraffic>(resident, arena, *runtime.device, plan.residency, plan.link_gbps);
  variant.beside = std::make_unique<Steps>(what, inputs, *variant.shadow, runtime);
}

std::unique_ptr<Variant> make_variant(const OffloadCase& what, const offload::Options& options,
                                      offload::NodeArena& arena, offload::StageSetup setup,
                                      offload::StageWeights& resident, model::DitRuntime runtime,
                                      const Inputs& inputs, double free_gbps) {
  auto variant = std::make_unique<Variant>();
  setup.account = &variant->account;
  variant->stage = make_stage(arena, plan_over(arena, options), setup);
  variant->result.options = options;
  variant->result.link_gbps = options.link_gbps > 0 ? options.link_gbps : free_gbps;
  runtime.gate = nullptr;
  add_shadow(*variant, what, arena, resident, runtime, inputs);
  runtime.gate = variant->stage->exchange_gate();
  variant->steps = std::make_unique<Steps>(what, inputs, *variant->stage, runtime);
  return variant;
}

// Runs steps until the modules used once (cached keys and values) are no longer ferried, which async has to
// learn, and an open share is settled; then records the bytes of a step.
void settle(Variant& variant, int passes) {
  const int steps =
      variant.stage->report().type == offload::StrategyKind::Async ? 3 : 1;  // auto may be async
  for (int i = 0; i < steps; ++i) variant.steps->seconds();
  for (int i = 0; i < kMostSteps && !variant.stage->report().share_settled; ++i) variant.steps->seconds();
  const auto before = static_cast<double>(variant.stage->report().ferried_bytes);
  variant.steps->seconds();
  OffloadResult& result = variant.result;
  result.bytes_per_step = static_cast<double>(variant.stage->report().ferried_bytes) - before;
  if (variant.shadow) variant.shadow->match(result.bytes_per_step, passes);
  result.link_seconds = result.bytes_per_step / result.link_gbps * 1e-9;
}

// Times one step after an untimed step of the same variant: a GPU at its power limit clocks higher for a
// while after a variant that left it idle.
double steady_seconds(Steps& steps) {
  steps.seconds();
  return steps.seconds();
}

void sample(Variant& variant, double alone_seconds) {
  OffloadResult& result = variant.result;
  result.alone_seconds.push_back(alone_seconds);
  if (variant.shadow) {
    result.compute_seconds.push_back(steady_seconds(*variant.beside));
    variant.shadow->drain();
  }
  variant.steps->seconds();
  const double before = exposed(variant);
  result.step_seconds.push_back(variant.steps->seconds());
  result.exposed_seconds.push_back(exposed(variant) - before);
}

OffloadResult finished(const Variant& variant) {
  OffloadResult result = variant.result;
  result.report = variant.stage->report();
  result.peak_bytes = variant.account.peak();
  if (result.report.copy_ms > 0) {
    result.copy_gbps = 1e-6 * static_cast<double>(result.report.ferried_bytes) / result.report.copy_ms;
  }
  return result;
}

}  // namespace

double OffloadResult::bound_seconds() const {
  return std::max(median(compute_seconds.empty() ? alone_seconds : compute_seconds), link_seconds);
}

double OffloadResult::step_over_bound() const { return median(step_seconds) / bound_seconds(); }

double OffloadResult::step_over_resident() const { return median(step_seconds) / median(alone_seconds); }

std::vector<OffloadResult> measure_offload(const OffloadCase& what, offload::NodeArena& arena,
                                           const offload::StageSetup& setup,
                                           const model::DitRuntime& runtime) {
  const at::NoGradGuard no_grad;
  const model::TorchStream on(*setup.device);
  const Inputs inputs = make_inputs(what, *setup.device);
  const auto resident = make_stage(arena, plan_over(arena, {}), setup);
  Steps alone(what, inputs, *resident, runtime);
  const double free_gbps = link_gbps(arena, *setup.device);
  alone.seconds();
  std::vector<std::unique_ptr<Variant>> variants;
  for (const offload::Options& options : what.variants) {
    variants.push_back(make_variant(what, options, arena, setup, *resident, runtime, inputs, free_gbps));
    settle(*variants.back(), what.paired ? 1 : what.branches);
    if (!at::equal(variants.back()->steps->velocity(), alone.velocity())) {
      throw Error("offload: " + std::string(name_of(options.type)) + " changes the result");
    }
  }
  for (int i = 0; i < what.samples; ++i) {
    const double alone_seconds = steady_seconds(alone);
    for (const auto& variant : variants) sample(*variant, alone_seconds);
  }
  std::vector<OffloadResult> results;
  for (const auto& variant : variants) {
    results.push_back(finished(*variant));
    results.back().device = setup.device->name();
    results.back().ranks = runtime.ulysses == nullptr ? 1 : runtime.ulysses->size();
  }
  return results;
}

std::string to_json(const OffloadCase& what, const OffloadResult& result) {
  nlohmann::ordered_json beside;
  if (!result.compute_seconds.empty()) beside = median(result.compute_seconds);
  const nlohmann::ordered_json line = {{"measurement", "offload"},
                                       {"device", result.device},
                                       {"ranks", result.ranks},
                                       {"type", name_of(result.report.type)},
                                       {"offload_ratio", result.options.offload_ratio},
                                       {"prefetch_size", result.options.prefetch_size},
                                       {"transport", name_of(result.report.transport)},
                                       {"share", result.report.share},
                                       {"parts", result.report.parts},
                                       {"share_why", result.report.share_why},
                                       {"interleave", name_of(result.report.interleave)},
                                       {"link_cap_gbps", result.options.link_gbps},
                                       {"link_gbps", result.link_gbps},
                                       {"branches", what.branches},
                                       {"cfg", what.paired ? "paired" : "serial"},
                                       {"layers", what.config.layers},
                                       {"dim", what.config.dim},
                                       {"width", what.width},
                                       {"height", what.height},
                                       {"frames", what.frames},
                                       {"step_s", median(result.step_seconds)},
                                       {"step_least_s", std::ranges::min(result.step_seconds)},
                                       {"step_most_s", std::ranges::max(result.step_seconds)},
                                       {"compute_beside_s", beside},
                                       {"resident_s", median(result.alone_seconds)},
                                       {"step_over_resident", result.step_over_resident()},
                                       {"link_s", result.link_seconds},
                                       {"bound_s", result.bound_seconds()},
                                       {"step_over_bound", result.step_over_bound()},
                                       {"exposed_s", median(result.exposed_seconds)},
                                       {"bytes_per_step", result.bytes_per_step},
                                       {"copy_gbps", result.copy_gbps},
                                       {"peak_bytes", result.peak_bytes},
                                       {"samples", result.step_seconds.size()}};
  return line.dump();
}

}  // namespace ferry::bench
