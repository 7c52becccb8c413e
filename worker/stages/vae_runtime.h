// Runtime of a run's decoder.
#pragma once

#include "model/vae/vae.h"
#include "parallel/group.h"
#include "worker/stages/stages.h"

namespace ferry::worker {

// The ranks that decode together; nullptr: only the first.
parallel::Group* decoding_group(const StageInput& input);

// Without a tap.
model::VaeRuntime vae_runtime(const StageInput& input);

}  // namespace ferry::worker
