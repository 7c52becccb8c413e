#include "worker/stages/stages.h"

namespace ferry::worker {

StageSource source_of(const StageInput& input, Role role) {
  const RoleEntry& entry = entry_of(role);
  const parallel::Mesh& mesh = input.rank->mesh;
  return {.network = &input.network(role),
          .runs = entry.runs(*input.options, mesh.cfg * mesh.ulysses),
          .activation_bytes = entry.activation_bytes({*input.options, *input.job, *input.networks, mesh}),
          .lora = input.options->lora};
}

}  // namespace ferry::worker
