#include "offload/setting.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <string_view>

namespace ferry::offload {

namespace {

constexpr int kMostDigits = 9;

std::string flag(const StagePlan& plan, std::string_view key, std::string_view value) {
  return fmt::format("--{}.offload.{} {}", plan.stage(), key, value);
}

// As few digits as give this number of ferried blocks (plan_residency).
std::string ratio_text(int offloaded, int layers) {
  const double ratio = static_cast<double>(offloaded) / layers;
  for (int digits = 1; digits < kMostDigits; ++digits) {
    std::string text = fmt::format("{:.{}f}", ratio, digits);
    if (std::lround(std::stod(text) * layers) == offloaded) return text;
  }
  return fmt::format("{}", ratio);
}

Setting async_setting(const StagePlan& plan, int offloaded, int prefetch) {
  const auto layers = static_cast<int>(plan.arena.spec.blocks.size());
  const Residency residency = spread_residency(layers, offloaded, prefetch);
  return {.use = {StrategyKind::Async, residency, async_need(plan.arena.layout, residency)},
          .words = fmt::format("{} {} {}", flag(plan, "type", name_of(StrategyKind::Async)),
                               flag(plan, "offload_ratio", ratio_text(offloaded, layers)),
                               flag(plan, "prefetch_size", std::to_string(prefetch)))};
}

void add(std::vector<Setting>& settings, const StagePlan& plan, StrategyKind kind) {
  for (const DeviceUse& other : plan.others) {
    if (other.kind == kind) settings.push_back({other, flag(plan, "type", name_of(kind))});
  }
}

}  // namespace

std::vector<Setting> settings_of(const StagePlan& plan) {
  const auto layers = static_cast<int>(plan.arena.spec.blocks.size());
  std::vector<Setting> settings;
  add(settings, plan, StrategyKind::None);
  const int own = plan.kind == StrategyKind::Async ? std::max(1, plan.residency.slots - 1) : 1;
  for (const int prefetch : {own, 1}) {
    for (int offloaded = 1; offloaded <= layers; ++offloaded) {
      settings.push_back(async_setting(plan, offloaded, prefetch));
    }
    if (own == 1) break;
  }
  add(settings, plan, StrategyKind::Sequential);
  return settings;
}

}  // namespace ferry::offload
