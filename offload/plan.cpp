#include "offload/plan.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "offload/arena/pin_order.h"
#include "offload/stated_share.h"

namespace ferry::offload {

namespace {

int layers_of(const model::NetworkSpec& spec) { return static_cast<int>(spec.blocks.size()); }

bool may_be(const Options& options, StrategyKind kind) {
  return options.type == kind || options.type == StrategyKind::Auto;
}

// Narrower types for the host copy: bf16 for a network in fp32, fp8 under sequential.
std::vector<HostAlternative> narrower(const model::NetworkSpec& spec, int weight_ranks) {
  std::vector<ModulePlan> modules = plan_sequential(spec, {});
  std::vector<HostAlternative> alternatives;
  const auto add = [&](const std::string& setting, DType dtype) {
    for (ModulePlan& each : modules) each.config.offload.dtype = dtype;
    alternatives.push_back({setting, arena_layout(stored_spec(spec, modules), weight_ranks).bytes});
  };
  if (spec.compute == DType::F32) add("model.dtype = bf16", DType::BF16);
  add(spec.name + ".offload.type = sequential with module_config offload_dtype = fp8", DType::F8E4M3);
  return alternatives;
}

void plan_async(StagePlan& plan, const Options& options) {
  const model::NetworkSpec& spec = plan.arena.spec;
  plan.share = stated_share(spec.name, options);
  if (layers_of(spec) > 0) plan.residency = plan_residency(spec.name, layers_of(spec), options);
  // With a share below 1 a rank copies some of every part.
  const bool in_shares = plan.arena.weight_ranks > 1 && plan.share.value_or(1) >= 1;
  if (plan.kind == StrategyKind::Async && in_shares) {
    plan.arena.divided = divided_blocks(plan.arena.layout, plan.residency.offloaded);
  }
}

Need need_of(const StagePlan& plan) {
  switch (plan.kind) {
    case StrategyKind::Async:
      return async_need(plan.arena.layout, plan.residency);
    case StrategyKind::Sequential:
    case StrategyKind::Auto:
      return sequential_need(plan.arena, plan.modules);
    default:
      return whole_need(plan.arena.layout);
  }
}

// With as few ferried blocks as possible.
std::vector<DeviceUse> ways_of(const StagePlan& plan, int prefetch) {
  const ArenaLayout& layout = plan.arena.layout;
  const int layers = layers_of(plan.arena.spec);
  std::vector<DeviceUse> ways = {{.kind = StrategyKind::None, .need = whole_need(layout)}};
  for (int offloaded = 1; offloaded <= layers; ++offloaded) {
    const Residency residency = spread_residency(layers, offloaded, prefetch);
    ways.push_back({StrategyKind::Async, residency, async_need(layout, residency)});
  }
  ways.push_back({.kind = StrategyKind::Sequential, .need = plan.need});
  return ways;
}

// Default settings of each type, with the plan's host dtypes.
std::vector<DeviceUse> others_of(const StagePlan& plan, const Options& options) {
  const ArenaLayout& layout = plan.arena.layout;
  const int layers = layers_of(plan.arena.spec);
  const Residency all = spread_residency(layers, layers, 1);
  std::vector<DeviceUse> others = {{.kind = StrategyKind::None, .need = whole_need(layout)},
                                   {StrategyKind::Async, all, async_need(layout, all)}};
  try {
    const std::vector<ModulePlan> modules =
        plan.modules.empty() ? plan_sequential(plan.arena.spec, options) : plan.modules;
    others.push_back({.kind = StrategyKind::Sequential, .need = sequential_need(plan.arena, modules)});
  } catch (const UserError&) {  // settings unused by this stage, which sequential would refuse
  }
  return others;
}

}  // namespace

StagePlan make_plan(const model::NetworkSpec& spec, const Options& options, int weight_ranks) {
  StagePlan plan;
  plan.kind = options.type;
  plan.pin = options.pin_cpu_memory;
  plan.link_gbps = options.link_gbps;
  plan.interleave = options.interleave;
  plan.lazy_slots = options.lazy_gpu_cache;
  if (may_be(options, StrategyKind::Sequential)) plan.modules = plan_sequential(spec, options);
  const bool narrowed = options.type == StrategyKind::Sequential;
  plan.arena = arena_plan(spec, narrowed ? stored_spec(spec, plan.modules) : spec, weight_ranks);
  plan.arena.narrower = narrower(spec, weight_ranks);
  if (may_be(options, StrategyKind::Async)) plan_async(plan, options);
  plan.need = need_of(plan);
  if (options.type == StrategyKind::Auto) plan.ways = ways_of(plan, options.prefetch_size);
  plan.others = others_of(plan, options);
  set_limit(plan, options.vram_limit);
  return plan;
}

void set_limit(StagePlan& plan, std::optional<double> vram_limit) {
  plan.limit_bytes.reset();
  if (!vram_limit) return;
  // Also rejects NaN.
  if (!(*vram_limit > 0)) {
    throw UserError(fmt::format("{}.offload.vram_limit: {} GiB; it is above 0", plan.stage(), *vram_limit));
  }
  const std::size_t bytes = limit_bytes(*vram_limit);
  if (bytes < plan.need.bytes) {
    throw UserError(fmt::format("{}.offload.vram_limit: {} GiB; {} needs at least {:.4f} GiB ({})",
                                plan.stage(), *vram_limit, name_of(plan.kind),
                                static_cast<double>(plan.need.bytes) / kGiB, plan.need.breakdown));
  }
  plan.limit_bytes = bytes;
}

StagePlan decided(StagePlan plan, std::size_t room) {
  if (plan.kind != StrategyKind::Auto) return plan;
  const auto fits = std::find_if(plan.ways.begin(), plan.ways.end(),
                                 [=](const DeviceUse& way) { return way.need.bytes <= room; });
  const DeviceUse& way = fits == plan.ways.end() ? plan.ways.back() : *fits;
  plan.kind = way.kind;
  plan.residency = way.residency;
  plan.need = way.need;
  const std::string what = way.kind == StrategyKind::None ? "all of its weights" : way.need.breakdown;
  plan.why = fmt::format("{} take {:.3f} GB{}, {:.3f} GB of device memory are free for weights", what,
                         static_cast<double>(way.need.bytes) / 1e9,
                         fits == plan.ways.end() ? ", no type less" : "", static_cast<double>(room) / 1e9);
  return plan;
}

}  // namespace ferry::offload
