// From what the user said to a job with nothing left open.
//
// An unset field takes, in this order: what the checkpoint's scheduler_config says (shift), what the sampler
// was made for (step_distill: 4 steps, guidance 1, shift 5), the model's own default (model/defaults.h).
// The command line and .cfg files, the checkpoint's ferry.cfg included, have been read into the options
// before.
#pragma once

#include <optional>
#include <string>

#include "model/dit/config.h"
#include "model/text/config.h"
#include "model/vae/config.h"
#include "worker/job/job.h"
#include "worker/job/options.h"

namespace ferry::worker {

// What a checkpoint folder says about itself.
struct ModelFacts {
  model::DitConfig dit;  // of no meaning where --latents leaves the VAE alone
  model::VaeConfig vae;
  std::optional<model::Umt5Config> text;  // nothing when the contexts come from a file
  std::optional<double> flow_shift;       // of scheduler_config.json
};

// Fills what is unset, draws the seed, names the files and checks everything that can be checked without
// reading weights: also the noise and context files and that the results can be written.  Makes nothing.
// With options.latents the job is to decode them: see take_latents().
// Throws UserError: what was wrong, the value, what is accepted.
Job resolve_job(const JobOptions& options, const ModelFacts& facts, bool device_is_cuda);

}  // namespace ferry::worker
