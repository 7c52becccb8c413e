#include <algorithm>

#include "base/log.h"
#include "offload/async/async.h"
#include "offload/choose.h"
#include "offload/limit.h"
#include "offload/need.h"
#include "offload/none.h"
#include "offload/sequential/sequential.h"
#include "offload/stage.h"
#include "offload/whole_model.h"

namespace ferry::offload {

namespace {

// Weights may take what is free now, less a twentieth for what nobody counts.
constexpr double kUsable = 0.95;

// The least of all ranks, so that they choose alike.
std::size_t room_for_weights(const Options& options, const StageSetup& setup) {
  const auto free =
      static_cast<std::size_t>(kUsable * static_cast<double>(setup.device->memory().free_bytes));
  std::size_t room = free - std::min(free, setup.activation_bytes);
  if (const auto limit = limit_bytes(options)) {
    room = std::min(room, *limit - std::min(*limit, setup.account->used()));
  }
  for (const std::string& each : all_gather_text(setup.peers, std::to_string(room))) {
    room = std::min<std::size_t>(room, std::stoull(each));
  }
  return room;
}

Options decided(const NodeArena& arena, const Options& options, const StageSetup& setup) {
  if (options.type != StrategyKind::Auto) return options;
  const Options chosen = choose_strategy(arena.layout(), options, room_for_weights(options, setup));
  if (setup.peers.rank == 0) spdlog::info("{}: offload type {}", arena.spec().name, name_of(chosen.type));
  return chosen;
}

std::unique_ptr<Strategy> make_strategy(NodeArena& arena, const Options& options, const StageSetup& setup) {
  check_limit(arena.spec().name, options, least_need(arena.plan(), options));
  switch (options.type) {
    case StrategyKind::Async:
      return make_async(arena, options, setup);
    case StrategyKind::Sequential:
      return make_sequential(arena, options, setup);
    case StrategyKind::Model:
      return make_whole_model(arena, options, setup, false);
    default:
      return make_none(arena, options, setup);
  }
}

}  // namespace

std::unique_ptr<StageWeights> make_stage(NodeArena& arena, const Options& options, const StageSetup& setup) {
  if (options.pin_cpu_memory) arena.pin(*setup.device);
  auto stage = std::make_unique<StageWeights>(arena, setup,
                                              make_strategy(arena, decided(arena, options, setup), setup));
  // Whoever copies something of every part waits for all; with shares alone the rest may come later.
  Report decided_on;
  stage->strategy().describe(decided_on);
  if (decided_on.share < 1) arena.wait_pinned();
  return stage;
}

}  // namespace ferry::offload
