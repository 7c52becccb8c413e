// Device memory of weights under each strategy, known before anything is loaded; in the bytes that vram_limit
// counts.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "offload/arena/arena_plan.h"
#include "offload/options.h"
#include "offload/residency.h"
#include "offload/sequential/sequential_plan.h"

namespace ferry::offload {

inline constexpr double kGiB = 1024.0 * 1024.0 * 1024.0;

// Bytes of a vram_limit in GiB.
constexpr std::size_t limit_bytes(double gib) { return static_cast<std::size_t>(gib * kGiB); }

struct Need {
  std::size_t bytes = 0;
  std::string breakdown;  // "2 slots, 12 resident blocks, head and tail"
};

// A strategy and its need.
struct DeviceUse {
  StrategyKind kind = StrategyKind::None;
  Residency residency{};  // async
  Need need;
};

// For none and model.
Need whole_need(const ArenaLayout& layout);
// For async; without blocks there is nothing to ferry.
Need async_need(const ArenaLayout& layout, const Residency& residency);
// Minimum for sequential: unwrapped modules, and the largest call.
Need sequential_need(const ArenaPlan& arena, const std::vector<ModulePlan>& modules);

}  // namespace ferry::offload
