// `none`: all weights are on the device, from the first pass until they are dropped.
#pragma once

#include <memory>

#include "offload/stage.h"

namespace ferry::offload {

// On a GPU everything is copied there once.  On the CPU the arena is used in place, so that any number of
// ranks share one copy: no memory is allocated, nothing is copied, and the bytes count as resident from
// prepare() until drop().
std::unique_ptr<Strategy> make_none(NodeArena& arena, const StagePlan& plan, const StageSetup& setup);

}  // namespace ferry::offload
