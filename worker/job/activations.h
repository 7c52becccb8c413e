// How a job's networks run, as far as the memory of their activations depends on it: model/*/activations.h
// says the bytes, which choose a strategy (offload type auto) and stand in the plan that rank 0 prints.
#pragma once

#include "model/dit/activations.h"
#include "model/text/activations.h"
#include "model/vae/activations.h"
#include "parallel/mesh.h"
#include "worker/job/job.h"
#include "worker/job/options.h"

namespace ferry::worker {

// Of one rank.
model::DitActivations dit_activations(const Options& options, const Job& job, const parallel::Mesh& mesh);

// Ranks that share the rows of a decode's frames; 1: the first decodes alone.
int decoding_ranks(const Options& options, const parallel::Mesh& mesh);

// Of one of them.
model::VaeActivations vae_activations(const Options& options, const Job& job, const parallel::Mesh& mesh);

}  // namespace ferry::worker
