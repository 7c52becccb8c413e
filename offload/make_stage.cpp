#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "base/log.h"
#include "offload/async/async.h"
#include "offload/none.h"
#include "offload/sequential/sequential.h"
#include "offload/stage.h"
#include "offload/whole_model.h"

namespace ferry::offload {

namespace {

// What a rank tells the others of type auto.
struct Told {
  WeightsRoom room;
  std::vector<double> step_s{};  // its forecast
};

std::string to_text(const Told& told) {
  return fmt::format("{} {} {}", told.room.bytes, told.room.in_place, fmt::join(told.step_s, " "));
}

Told told_from(const std::string& text) {
  std::istringstream numbers(text);
  Told told;
  numbers >> told.room.bytes >> told.room.in_place;
  for (double step_s = 0; numbers >> step_s;) told.step_s.push_back(step_s);
  return told;
}

// By the least room of all ranks and the first one's forecast, so that they choose alike: processors of
// several kinds may round a prediction differently.
StagePlan decided_together(const StagePlan& plan, const StageSetup& setup) {
  const std::size_t accounted = setup.account->now();
  const bool in_place = setup.device->type() == DeviceType::Cpu;
  const Told mine{.room = {.bytes = room_for_weights(plan, setup.device->memory().free_bytes,
                                                     setup.activation_bytes, accounted),
                           .in_place = in_place ? room_in_place(plan, accounted) : 0},
                  .step_s = setup.forecast.step_s};
  const std::vector<std::string> all = all_gather_text(setup.peers, to_text(mine));
  WeightsRoom room = mine.room;
  for (const std::string& each : all) {
    const WeightsRoom theirs = told_from(each).room;
    room = {std::min(room.bytes, theirs.bytes), std::min(room.in_place, theirs.in_place)};
  }
  return decided(plan, room, {.step_s = told_from(all.front()).step_s, .source = setup.forecast.source});
}

StagePlan for_the_device(const StagePlan& plan, const StageSetup& setup) {
  if (plan.kind != StrategyKind::Auto) return plan;
  StagePlan chosen = decided_together(plan, setup);
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
