// The device memory that strategies take for weights, known before anything is loaded; in the bytes that
// vram_limit counts.
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

// A vram_limit, which is in GiB.
constexpr std::size_t limit_bytes(double gib) { return static_cast<std::size_t>(gib * kGiB); }

struct Need {
  std::size_t bytes = 0;
  std::string made_of;  // "2 slots, 12 resident blocks, head and tail"
};

// A strategy, and what it takes.
struct DeviceUse {
  StrategyKind kind = StrategyKind::None;
  Residency residency{};  // async
  Need need;
};

// Of none and model.
Need whole_need(const ArenaLayout& layout);
// Of async; without blocks there is nothing to ferry.
Need async_need(const ArenaLayout& layout, const Residency& residency);
// The least that sequential works with: what is not wrapped, and the largest call.
Need sequential_need(const ArenaPlan& arena, const std::vector<ModulePlan>& modules);

}  // namespace ferry::offload
