// What the environment says about this process, before MPI is started.
#pragma once

#include <functional>
#include <optional>
#include <string>

namespace ferry::parallel {

// Looks a variable up; the process's own environment is environment_variable.
using Environment = std::function<std::optional<std::string>(const char* name)>;
std::optional<std::string> environment_variable(const char* name);

// True when mpirun or PMIx started this process as a rank: OMPI_COMM_WORLD_RANK is set, or PMIX_RANK outside
// a Slurm step of one task.  (Such a step is a shell, `srun --pty bash`; what runs in it runs alone.)
bool is_rank(const Environment& environment = environment_variable);

}  // namespace ferry::parallel
