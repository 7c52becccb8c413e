// How the weights of one stage are kept on the host and get to the device: its options, parsed and decided
// once.  The memory check, the arena, the strategy and the report are handed this; none of them reads
// options.
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
  std::string why;                           // of decided(); empty where the user named the type
  Need need;                                 // device memory; of Auto that of sequential, the least
  std::optional<std::size_t> limit_bytes{};  // vram_limit, not below `need`
  bool pin = true;                           // page-lock the host copy
  double link_gbps = 0;                      // cap of each rank's copies; 0: none
  Residency residency{};                     // async
  // async: the transport as a share (stated_share.h); nothing: found while passes run.
  std::optional<double> share{};
  Interleave interleave = Interleave::Auto;  // async
  bool lazy_slots = false;                   // async: slots take their memory in the first pass
  std::vector<ModulePlan> modules{};         // sequential, in arena order
  std::vector<DeviceUse> ways{};             // Auto: what may become of it, the fastest first
  std::vector<DeviceUse> others{};           // what other types would take, for a refusal

  const std::string& stage() const { return arena.spec.name; }
};

// The plan of a stage whose weights `weight_ranks` ranks of a node share.
// Throws UserError: options of its type that are out of range, contradict each other or do not suit the
// network; a vram_limit below the plan's need.
StagePlan make_plan(const model::NetworkSpec& spec, const Options& options, int weight_ranks);

// Gives `plan` a vram_limit (GiB), or none.  Throws UserError, with the least, for one below its need.
void set_limit(StagePlan& plan, std::optional<double> vram_limit);

// Of type auto: the first of plan.ways that takes no more than `room` bytes of the device, which none of them
// may do: then the last.  Says why.  A plan of another type is returned as it is.
StagePlan decided(StagePlan plan, std::size_t room);

}  // namespace ferry::offload
