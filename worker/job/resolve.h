// Resolves the user's options into a job.
//
// An unset field takes its value, in this order, from the checkpoint's scheduler_config (shift), the
// requirements of the sampler (step_distill: 4 steps, guidance 1, shift 5), the model's defaults
// (model/defaults.h). The command line and .cfg files, including the checkpoint's ferry.cfg, have already
// been read into the options.
#pragma once

#include <optional>
#include <string>

#include "model/dit/config.h"
#include "model/text/config.h"
#include "model/vae/config.h"
#include "worker/job/job.h"
#include "worker/job/options.h"

namespace ferry::worker {

// Facts from a checkpoint folder.
struct ModelFacts {
  model::DitConfig dit;  // unused if --latents needs only the VAE
  model::VaeConfig vae;
  std::optional<model::Umt5Config> text;  // unset if the contexts come from a file
  std::optional<double> flow_shift;       // from scheduler_config.json
};

// Fills unset fields, draws the seed, names the files and checks everything that needs no weights, including
// noise and context files and that the results can be written.  Creates nothing.  With options.latents the
// job is to decode them: see take_latents().
// Throws UserError: what was wrong, the value, what is accepted.
Job resolve_job(const JobOptions& options, const ModelFacts& facts, bool device_is_cuda);

// The part of it that denoising steps need: size, sampling and noise; no prompt and no results.  Of a VAE
// that is not open the published one's scales hold.  Throws as above.
Job resolve_steps(const JobOptions& options, const ModelFacts& facts, bool device_is_cuda);

}  // namespace ferry::worker
