// The process's environment, before MPI is started.
#pragma once

#include <functional>
#include <optional>
#include <string>

namespace ferry::parallel {

// Looks up a variable; environment_variable uses the process's own environment.
using Environment = std::function<std::optional<std::string>(const char* name)>;
std::optional<std::string> environment_variable(const char* name);

// True if mpirun or PMIx started this process as a rank: OMPI_COMM_WORLD_RANK is set, or PMIX_RANK outside a
// Slurm step of one task.  (Such a step is a shell, `srun --pty bash`; a program started in it is not a
// rank.)
bool is_rank(const Environment& environment = environment_variable);

// For tests: the node of `rank` of MPI_COMM_WORLD in FERRY_TEST_NODES, a list like "0,1,0,1"; ranks beyond it
// are on node 0.  Throws std::invalid_argument.
int made_up_node(const std::string& nodes, int rank);

}  // namespace ferry::parallel
