#include "worker/job/activations.h"

namespace ferry::worker {

model::DitActivations dit_activations(const Options& options, const Job& job, const parallel::Mesh& mesh) {
  const int branches = job.guided() && mesh.cfg == 1 ? 2 : 1;
  const bool serial = options.parallel.cfg == parallel::CfgMode::Serial;
  return {.latent = job.latent_shape,
          .ulysses = mesh.ulysses,
          .branches = serial ? 1 : branches,
          .contexts = branches};
}

int decoding_ranks(const Options& options, const parallel::Mesh& mesh) {
  return options.parallel.split_vae ? mesh.cfg * mesh.ulysses : 1;
}

model::VaeActivations vae_activations(const Options& options, const Job& job, const parallel::Mesh& mesh) {
  return {.width = job.width, .height = job.height, .ranks = decoding_ranks(options, mesh)};
}

}  // namespace ferry::worker
