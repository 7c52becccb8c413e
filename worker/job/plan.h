// Human-readable plan of a run, printed by rank 0 before any weight is read; with --run.dry_run the run ends
// there.
#pragma once

#include <string>

#include "worker/engine.h"

namespace ferry::worker {

// Size, steps, ranks, device, and for each network its host memory and whether it is dequantised; no trailing
// line break.
std::string plan_text(const Engine& engine, const Prepared& prepared);

// A line for each LoRA that is merged: what its file has, its strength, what is left out.  Each begins with a
// line break; empty without LoRA.
std::string loras_text(const Networks& networks);

}  // namespace ferry::worker
