// `ferry ... -n N`: the same program on N ranks of this machine, through mpirun.
#pragma once

#include <string>
#include <vector>

namespace ferry::launcher {

struct Launch {
  std::vector<std::string> words;                              // mpirun and its arguments
  std::vector<std::pair<std::string, std::string>> variables;  // to set in the environment
};

// What is run for `program` with `args` (main's, less the program's name; a rank passes over its -n N). Ranks
// are bound to no core and share the cores' threads: OMP_NUM_THREADS = cores / ranks, at least 1, unless it
// is set already.  Open MPI refuses to run as root unless two variables say that it may, and is not told of a
// batch system's other nodes.
Launch plan_launch(const std::string& program, const std::vector<std::string>& args, int ranks, int cores);

// Runs that mpirun to its end (launcher/process/job.h) and ends this process with the exit code.
// Throws UserError: mpirun is not on the PATH.
[[noreturn]] void launch_ranks(const std::vector<std::string>& args, int ranks);

}  // namespace ferry::launcher
