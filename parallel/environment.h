// What the environment says about this process, before MPI is started.
#pragma once

#include <functional>
#include <optional>
#include <string>

namespace ferry::parallel {

// Looks a variable up; the process's own environment is environment_variable.
using Environment = std::function<std::optional<std::string>(const char* name)>;
std::optional<std::string> environment_variable(const char* name);

// True when mpirun, PMIx or srun started this process as a rank: OMPI_COMM_WORLD_RANK or PMIX_RANK is set,
// or it is one of several tasks of a Slurm step.  (SLURM_PROCID alone is also set in a batch script.)
bool is_rank(const Environment& environment = environment_variable);

}  // namespace ferry::parallel
