// A stage under options of its own, over a host copy that is there.
#pragma once

#include <memory>

#include "offload/stage.h"

namespace ferry::testing {

inline offload::StagePlan plan_over(const offload::NodeArena& arena, const offload::Options& options) {
  return offload::make_plan(arena.spec(), options, arena.weight_ranks());
}

inline std::unique_ptr<offload::StageWeights> stage_over(offload::NodeArena& arena,
                                                         const offload::Options& options,
                                                         const offload::StageSetup& setup) {
  return offload::make_stage(arena, plan_over(arena, options), setup);
}

}  // namespace ferry::testing
