// Strategies that keep whole networks on the device.
#pragma once

#include <memory>

#include "offload/stage.h"

namespace ferry::offload {

// `model`: prepare() copies everything but host-only modules to the device; finish() drops the device copy,
// which is never copied back.  With `stays` finish() keeps it and drop() frees it; that is `none` on a GPU.
std::unique_ptr<Strategy> make_whole_model(NodeArena& arena, const StagePlan& plan, const StageSetup& setup,
                                           bool stays);

}  // namespace ferry::offload
