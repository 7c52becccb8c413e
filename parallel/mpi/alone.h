// A process that is no rank of MPI, in an environment that may say something else.
#pragma once

#include <optional>
#include <string>

#include "parallel/mpi/environment.h"

namespace ferry::parallel {

// Processes that were started together, as a variable says.
struct Started {
  std::string variable;  // "PMI_SIZE"
  int processes = 0;
};

// Several processes, by a variable of Slurm's steps, of another MPI's launcher (PMI_SIZE, MPI_LOCALNRANKS,
// MV2_COMM_WORLD_SIZE; FLUX_JOB_SIZE, PALS_NRANKS, JSM_NAMESPACE_SIZE) or of torchrun (WORLD_SIZE); nothing
// when none says more than one.  Open MPI does not know of them unless is_rank().  (SLURM_NTASKS is also set
// in a batch script, where one process runs.)
std::optional<Started> started_together(const Environment& environment = environment_variable);

// Takes the variables of the Slurm step and of its PMI and PMIx out of this process's environment, so that
// MPI starts as if there were no step.  Called before MPI by a process that is no rank.
void leave_step();

}  // namespace ferry::parallel
