#include "parallel/mpi/environment.h"

#include <cstdlib>
#include <sstream>

namespace ferry::parallel {

std::optional<std::string> environment_variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::nullopt : std::optional<std::string>(value);
}

bool is_rank(const Environment& environment) {
  if (environment("OMPI_COMM_WORLD_RANK")) return true;
  return environment("PMIX_RANK") && environment("SLURM_STEP_NUM_TASKS") != "1";
}

int made_up_node(const std::string& nodes, int rank) {
  std::istringstream list(nodes);
  std::string node = "0";
  for (int i = 0; i <= rank; ++i) {
    if (!std::getline(list, node, ',')) return 0;
  }
  return std::stoi(node);
}

}  // namespace ferry::parallel
