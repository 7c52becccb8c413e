// A process that is not an MPI rank, in an environment that may suggest otherwise.
#pragma once

#include <optional>
#include <string>

#include "parallel/mpi/environment.h"

namespace ferry::parallel {

// Number of processes started together, according to an environment variable.
struct Started {
  std::string variable;  // "PMI_SIZE"
  int processes = 0;
};

// Detects several processes from a variable of Slurm's steps, of another MPI's launcher (PMI_SIZE,
// MPI_LOCALNRANKS, MV2_COMM_WORLD_SIZE; FLUX_JOB_SIZE, PALS_NRANKS, JSM_NAMESPACE_SIZE) or of torchrun
// (WORLD_SIZE); returns nothing if none exceeds one.  Open MPI is unaware of them unless is_rank().
// (SLURM_NTASKS is also set in a batch script, where one process runs.)
std::optional<Started> started_together(const Environment& environment = environment_variable);

// Removes the variables of the Slurm step and of its PMI and PMIx from this process's environment, so that
// MPI starts as if there were no step.  Call before MPI starts, in a process that is not a rank.
void leave_step();

}  // namespace ferry::parallel
