// What the decoder of a run works on.
#pragma once

#include "model/vae/vae.h"
#include "parallel/group.h"
#include "worker/stages/stages.h"

namespace ferry::worker {

// The ranks that decode together; nullptr: the first one alone.
parallel::Group* decoding_group(const StageInput& input);

// Nobody taps it.
model::VaeRuntime vae_runtime(const StageInput& input);

}  // namespace ferry::worker
