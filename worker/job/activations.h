// Maps a job to the parameters of its networks' activation memory: model/*/activations.h computes the bytes,
// which select a strategy (offload type auto) and appear in the plan printed by rank 0.
#pragma once

#include "model/dit/activations.h"
#include "model/text/activations.h"
#include "model/vae/activations.h"
#include "parallel/mesh.h"
#include "worker/job/job.h"
#include "worker/job/options.h"

namespace ferry::worker {

// Per rank.
model::DitActivations dit_activations(const Options& options, const Job& job, const parallel::Mesh& mesh);

// Ranks that share the rows of decoded frames; 1: the first decodes alone.
int decoding_ranks(const Options& options, const parallel::Mesh& mesh);

// Per decoding rank.
model::VaeActivations vae_activations(const Options& options, const Job& job, const parallel::Mesh& mesh);

}  // namespace ferry::worker
