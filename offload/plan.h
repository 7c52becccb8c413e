// The plan of one stage's weights, on the host and on the way to the device: its options, parsed and resolved
// once.  The memory check, the arena, the strategy and the report receive this; none of them reads options.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "model/weights.h"
#include "offload/arena/arena_plan.h"
#include "offload/need.h"
#include "offload/options.h"
#include "offload/residency.h"
#include "offload/sequential/sequential_plan.h"

namespace ferry::offload {

struct StagePlan {
  ArenaPlan arena;                           // the host copy
  StrategyKind kind = StrategyKind::None;    // Auto until decided()
  std::string why;                           // reason of decided(); empty if the user chose the type
  Need need;                                 // device memory; for Auto that of sequential, the least
  std::optional<std::size_t> limit_bytes{};  // vram_limit, not below `need`
  bool pin = true;                           // page-lock the host copy
  double link_gbps = 0;                      // cap of each rank's copies; 0: none
  Residency residency{};                     // async
  // async: the transport as a share (stated_share.h); nothing: found while passes run.
  std::optional<double> share{};
  Interleave interleave = Interleave::Auto;  // async
  bool lazy_slots = false;                   // async: slots are allocated in the first pass
  std::vector<ModulePlan> modules{};         // sequential, in arena order
  std::vector<DeviceUse> ways{};             // Auto: the candidates, fastest first
  std::vector<DeviceUse> others{};           // needs of other types, for error messages

  const std::string& stage() const { return arena.spec.name; }
};

// Makes the plan of a stage whose weights are shared by `weight_ranks` ranks of a node.
// Throws UserError: options of its type that are out of range, contradictory or unsuitable for the network; a
// vram_limit below the plan's need.
StagePlan make_plan(const model::NetworkSpec& spec, const Options& options, int weight_ranks);

// Sets the plan's vram_limit (GiB), or none.  Throws UserError, with the minimum, if it is below the need.
void set_limit(StagePlan& plan, std::optional<double> vram_limit);

// For type auto: the first of plan.ways that needs at most `room` bytes of the device, else the last.  Sets
// the reason.  A plan of another type is returned unchanged.
StagePlan decided(StagePlan plan, std::size_t room);

}  // namespace ferry::offload
