#include <algorithm>
#include <string>
#include <utility>

#include "base/log.h"
#include "offload/async/async.h"
#include "offload/none.h"
#include "offload/sequential/sequential.h"
#include "offload/stage.h"
#include "offload/whole_model.h"

namespace ferry::offload {

namespace {

// Fraction of the free memory for weights; a twentieth is left for unaccounted use.
constexpr double kUsable = 0.95;

// The minimum over the ranks, so that they choose alike.
std::size_t room_for_weights(const StagePlan& plan, const StageSetup& setup) {
  const auto free =
      static_cast<std::size_t>(kUsable * static_cast<double>(setup.device->memory().free_bytes));
  std::size_t room = free - std::min(free, setup.activation_bytes);
  if (const auto limit = plan.limit_bytes) {
    room = std::min(room, *limit - std::min(*limit, setup.account->now()));
  }
  for (const std::string& each : all_gather_text(setup.peers, std::to_string(room))) {
    room = std::min<std::size_t>(room, std::stoull(each));
  }
  return room;
}

StagePlan for_the_device(const StagePlan& plan, const StageSetup& setup) {
  if (plan.kind != StrategyKind::Auto) return plan;
  StagePlan chosen = decided(plan, room_for_weights(plan, setup));
  if (setup.peers.rank == 0) {
    spdlog::info("{}: offload type {}: {}", chosen.stage(), name_of(chosen.kind), chosen.why);
  }
  return chosen;
}

std::unique_ptr<Strategy> make_strategy(NodeArena& arena, const StagePlan& plan, const StageSetup& setup) {
  switch (plan.kind) {
    case StrategyKind::Async:
      return make_async(arena, plan, setup);
    case StrategyKind::Sequential:
      return make_sequential(arena, plan, setup);
    case StrategyKind::Model:
      return make_whole_model(arena, plan, setup, false);
    default:
      return make_none(arena, plan, setup);
  }
}

}  // namespace

std::unique_ptr<StageWeights> make_stage(NodeArena& arena, const StagePlan& plan, const StageSetup& setup) {
  if (plan.pin) arena.pin(*setup.device);
  StagePlan chosen = for_the_device(plan, setup);
  std::unique_ptr<Strategy> strategy = make_strategy(arena, chosen, setup);
  auto stage = std::make_unique<StageWeights>(arena, std::move(chosen), setup, std::move(strategy));
  // A rank that copies something of every part waits for all; with shares alone the rest may come later.
  Report decided_on;
  stage->strategy().describe(decided_on);
  if (decided_on.share < 1) arena.wait_pinned();
  return stage;
}

}  // namespace ferry::offload
