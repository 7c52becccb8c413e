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
  double predicted_step_s = 0;               // set by decided(), 0: not predicted
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
  // Auto: the candidates, in order of ferried blocks, then of slots; sequential is the last.
  std::vector<DeviceUse> ways{};
  std::vector<DeviceUse> others{};  // needs of other types, for error messages

  const std::string& stage() const { return arena.spec.name; }
};

// Makes the plan of a stage whose weights are shared by `weight_ranks` ranks of a node.
// Throws UserError: options of its type that are out of range, contradictory or unsuitable for the network; a
// vram_limit below the plan's need.
StagePlan make_plan(const model::NetworkSpec& spec, const Options& options, int weight_ranks);

// Sets the plan's vram_limit (GiB), or none.  Throws UserError, with the minimum, if it is below the need.
void set_limit(StagePlan& plan, std::optional<double> vram_limit);

// The part of a device's free memory that weights may take: a twentieth is left for unaccounted use, and
// vram_limit holds.  `accounted`: bytes that count towards it already.
std::size_t room_for_weights(const StagePlan& plan, std::size_t free_bytes, std::size_t activation_bytes,
                             std::size_t accounted = 0);

// Bytes that weights may be counted with where type none takes no memory of its own for them, as it uses the
// host copy in place (on the CPU): vram_limit holds all the same.  `accounted` as above.
std::size_t room_in_place(const StagePlan& plan, std::size_t accounted = 0);

// Predicted times of the ways of a plan of type auto (worker/planner/predict.h).
struct Forecast {
  std::vector<double> step_s{};                     // of each of StagePlan::ways; empty: nothing is predicted
  std::string source = "no rates of this machine";  // "rates of h100"; if nothing is predicted, why
};

constexpr double kAsGood = 0.005;  // predicted times that differ by less, as a fraction, are as good

// Room for weights on the devices of all ranks alike.
struct WeightsRoom {
  std::size_t bytes = 0;
  std::size_t in_place = 0;  // for none where it uses the host copy (room_in_place()); 0: it copies all of it
};

// For type auto: of plan.ways that have room (if none has, of the last alone) the fastest by the forecast,
// and of those that are as good the first, which ferries least; without a forecast the first.  Sets the
// reason.  A plan of another type is returned unchanged.  Throws std::invalid_argument if the forecast is of
// other ways than the plan's.
StagePlan decided(StagePlan plan, const WeightsRoom& room, const Forecast& forecast = {});

}  // namespace ferry::offload
