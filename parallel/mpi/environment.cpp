#include "parallel/mpi/environment.h"

#include <cstdlib>

namespace ferry::parallel {

std::optional<std::string> environment_variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::nullopt : std::optional<std::string>(value);
}

bool is_rank(const Environment& environment) {
  if (environment("OMPI_COMM_WORLD_RANK")) return true;
  return environment("PMIX_RANK") && environment("SLURM_STEP_NUM_TASKS") != "1";
}

}  // namespace ferry::parallel
