#include "parallel/environment.h"

#include <cstdlib>

namespace ferry::parallel {

std::optional<std::string> environment_variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::nullopt : std::optional<std::string>(value);
}

bool is_rank(const Environment& environment) {
  if (environment("OMPI_COMM_WORLD_RANK") || environment("PMIX_RANK")) return true;
  // Steps have a number of tasks of their own; a batch script does not.
  const std::optional<std::string> tasks = environment("SLURM_STEP_NUM_TASKS");
  return environment("SLURM_PROCID") && tasks && std::atoi(tasks->c_str()) > 1;
}

}  // namespace ferry::parallel
