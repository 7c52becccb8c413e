#include "worker/stages/vae_runtime.h"

#include "worker/job/activations.h"

namespace ferry::worker {

parallel::Group* decoding_group(const StageInput& input) {
  const Rank& rank = *input.rank;
  if (decoding_ranks(*input.options, rank.mesh) == 1) return nullptr;
  // With the same ranks, NCCL exchanges have already made the connections.
  return rank.mesh.cfg == 1 ? rank.groups.ulysses.get() : rank.groups.data_root.get();
}

model::VaeRuntime vae_runtime(const StageInput& input) {
  return {.device = input.rank->device.get(),
          .compute = input.network(Role::Vae).compute,
          .tap = {},
          .group = decoding_group(input),
          .failed = [rank = input.rank](const std::exception& error) { rank->report(error); }};
}

}  // namespace ferry::worker
