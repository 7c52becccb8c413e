// `none`: all weights are on the device for the program's life.
#pragma once

#include <memory>

#include "offload/stage.h"

namespace ferry::offload {

// On a GPU everything is copied there once.  On the CPU the arena is used in place, so that any number of
// ranks share one copy: no memory is taken, nothing is copied, and the bytes count as resident from prepare()
// on.
std::unique_ptr<Strategy> make_none(NodeArena& arena, const StagePlan& plan, const StageSetup& setup);

}  // namespace ferry::offload
