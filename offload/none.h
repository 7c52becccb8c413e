// `none` on the CPU: the arena is used in place, so that any number of ranks share one copy.
#pragma once

#include <memory>

#include "offload/stage.h"

namespace ferry::offload {

// Takes no memory and copies nothing.  Its bytes count as resident from prepare() on.
std::unique_ptr<Strategy> make_in_place(NodeArena& arena, const StageSetup& setup);

}  // namespace ferry::offload
