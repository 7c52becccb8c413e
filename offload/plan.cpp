#include "offload/plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <stdexcept>

#include "base/error.h"
#include "offload/arena/pin_order.h"
#include "offload/stated_share.h"

namespace ferry::offload {

namespace {

constexpr double kUsable = 0.95;  // of the free memory

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

// Each number of ferried blocks with the stated depth and with one block more.
std::vector<DeviceUse> ways_of(const StagePlan& plan, int prefetch) {
  const ArenaLayout& layout = plan.arena.layout;
  const int layers = layers_of(plan.arena.spec);
  std::vector<DeviceUse> ways = {{.kind = StrategyKind::None, .need = whole_need(layout)}};
  for (int offloaded = 1; offloaded <= layers; ++offloaded) {
    for (const int ahead : {prefetch, prefetch + 1}) {
      const Residency residency = spread_residency(layers, offloaded, ahead);
      if (ahead > prefetch && residency.slots == ways.back().residency.slots) continue;
      ways.push_back({StrategyKind::Async, residency, async_need(layout, residency)});
    }
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

// Indices of ways; without one that fits, of the last, which takes least.
std::vector<std::size_t> fitting(const StagePlan& plan, const WeightsRoom& room) {
  std::vector<std::size_t> found;
  for (std::size_t i = 0; i < plan.ways.size(); ++i) {
    const std::size_t in_place = plan.ways[i].kind == StrategyKind::None ? room.in_place : 0;
    if (plan.ways[i].need.bytes <= std::max(room.bytes, in_place)) found.push_back(i);
  }
  if (found.empty()) found.push_back(plan.ways.size() - 1);
  return found;
}

std::size_t fastest_of(const std::vector<std::size_t>& ways, const std::vector<double>& step_s) {
  return *std::ranges::min_element(ways, {}, [&](std::size_t way) { return step_s.at(way); });
}

// Of `ways`, which are not empty and in order.
std::size_t choice_of(const std::vector<std::size_t>& ways, const std::vector<double>& step_s) {
  if (step_s.empty()) return ways.front();
  const double most = step_s.at(fastest_of(ways, step_s)) * (1 + kAsGood);
  return *std::ranges::find_if(ways, [&](std::size_t way) { return step_s.at(way) <= most; });
}

std::string words_of(const DeviceUse& way) {
  if (way.kind != StrategyKind::Async) return std::string(name_of(way.kind));
  return fmt::format("async, {} blocks ferried, {} slots", way.residency.offloaded.size(),
                     way.residency.slots);
}

// "predicted step 2.551 s (rates of h100), next best 2.560 s (async, 24 blocks ferried, 3 slots)"
std::string prediction_text(const StagePlan& plan, std::vector<std::size_t> ways, std::size_t chosen,
                            const Forecast& forecast) {
  if (forecast.step_s.empty()) return fmt::format("decided by memory ({})", forecast.source);
  std::string text = fmt::format("predicted step {:.4g} s ({})", forecast.step_s.at(chosen), forecast.source);
  std::erase(ways, chosen);
  if (ways.empty()) return text + ", nothing else fits";
  const std::size_t next = fastest_of(ways, forecast.step_s);
  return text + fmt::format(", next best {:.4g} s ({})", forecast.step_s.at(next), words_of(plan.ways[next]));
}

// "2 slots, 16 resident blocks, head and tail take 20.1 GB, 21.3 GB of device memory are free for weights"
std::string memory_text(const DeviceUse& way, const WeightsRoom& among) {
  if (way.kind == StrategyKind::None && way.need.bytes <= among.in_place)
    return fmt::format("all of its weights, {:.3f} GB, are used in the host copy",
                       static_cast<double>(way.need.bytes) / 1e9);
  const std::size_t room = among.bytes;
  const std::string what = way.kind == StrategyKind::None ? "all of its weights" : way.need.breakdown;
  return fmt::format("{} take {:.3f} GB{}, {:.3f} GB of device memory are free for weights", what,
                     static_cast<double>(way.need.bytes) / 1e9, way.need.bytes > room ? ", no type less" : "",
                     static_cast<double>(room) / 1e9);
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

std::size_t room_for_weights(const StagePlan& plan, std::size_t free_bytes, std::size_t activation_bytes,
                             std::size_t accounted) {
  const auto usable = static_cast<std::size_t>(kUsable * static_cast<double>(free_bytes));
  const std::size_t room = usable - std::min(usable, activation_bytes);
  if (!plan.limit_bytes) return room;
  return std::min(room, *plan.limit_bytes - std::min(*plan.limit_bytes, accounted));
}

std::size_t room_in_place(const StagePlan& plan, std::size_t accounted) {
  if (!plan.limit_bytes) return std::numeric_limits<std::size_t>::max();
  return *plan.limit_bytes - std::min(*plan.limit_bytes, accounted);
}

StagePlan decided(StagePlan plan, const WeightsRoom& room, const Forecast& forecast) {
  if (plan.kind != StrategyKind::Auto) return plan;
  if (!forecast.step_s.empty() && forecast.step_s.size() != plan.ways.size()) {
    throw std::invalid_argument(
        fmt::format("a forecast of {} ways for a plan with {}", forecast.step_s.size(), plan.ways.size()));
  }
  const std::vector<std::size_t> ways = fitting(plan, room);
  const std::size_t chosen = choice_of(ways, forecast.step_s);
  const DeviceUse& way = plan.ways[chosen];
  plan.kind = way.kind;
  plan.residency = way.residency;
  plan.need = way.need;
  plan.predicted_step_s = forecast.step_s.empty() ? 0 : forecast.step_s[chosen];
  plan.why = fmt::format("{}; {}", prediction_text(plan, ways, chosen, forecast), memory_text(way, room));
  return plan;
}

}  // namespace ferry::offload
