// Checks of a run before any rank starts and before any file of the model is opened.
#pragma once

#include "worker/job/options.h"

namespace ferry::launcher {

// Throws UserError: no model folder or no prompt, degrees whose product is not the number of ranks (`ranks`;
// 0: unknown), an output folder that is not writable.  Does not call CUDA, which would start threads in a
// process that may only launch the ranks; they refuse `--device cuda` without a GPU (worker::make_device).
void check_options(const worker::Options& options, int ranks);

// As above without the job: model and degrees.
void check_model(const worker::Options& options, int ranks);

}  // namespace ferry::launcher
