// What can be said about a run before any rank starts and before any file of the model is opened.
#pragma once

#include "worker/job/options.h"

namespace ferry::launcher {

// Throws UserError: no model folder or no prompt, degrees that do not multiply to the number of ranks
// (`ranks`; 0: not known), a folder that results cannot be written to.  Asks nothing of CUDA, which would
// start threads in a process that may only launch the ranks; `--device cuda` without a GPU is refused by them
// (worker::make_device).
void check_options(const worker::Options& options, int ranks);

// The same without the job: model and degrees.
void check_model(const worker::Options& options, int ranks);

}  // namespace ferry::launcher
