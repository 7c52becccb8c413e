// What a run is going to do, in lines for a person: printed by rank 0 before any weight is read, and all that
// --run.dry_run does.
#pragma once

#include <string>

#include "worker/engine.h"

namespace ferry::worker {

// Size, steps, ranks, device, and for each network what its weights take on the host and whether they are
// dequantised; no line break at the end.
std::string plan_text(const Engine& engine, const Prepared& prepared);

}  // namespace ferry::worker
