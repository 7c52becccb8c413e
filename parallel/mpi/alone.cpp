#include "parallel/mpi/alone.h"

#include <unistd.h>

#include <cstdlib>
#include <string_view>
#include <vector>

namespace ferry::parallel {

namespace {

bool belongs_to_step(std::string_view name) {
  // PMIX_MCA_ variables are the user's settings.
  return name.starts_with("SLURM_STEP") || name.starts_with("PMI_") ||
         (name.starts_with("PMIX_") && !name.starts_with("PMIX_MCA_"));
}

}  // namespace

std::optional<Started> started_together(const Environment& environment) {
  for (const char* name : {"SLURM_STEP_NUM_TASKS", "PMI_SIZE", "MPI_LOCALNRANKS", "MV2_COMM_WORLD_SIZE",
                           "FLUX_JOB_SIZE", "PALS_NRANKS", "JSM_NAMESPACE_SIZE", "WORLD_SIZE"}) {
    const std::optional<std::string> value = environment(name);
    const int processes = value ? std::atoi(value->c_str()) : 0;
    if (processes > 1) return Started{name, processes};
  }
  return std::nullopt;
}

void leave_step() {
  std::vector<std::string> names;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    const std::string_view name = text.substr(0, text.find('='));
    if (belongs_to_step(name)) names.emplace_back(name);
  }
  for (const std::string& name : names) unsetenv(name.c_str());
}

}  // namespace ferry::parallel
