// `ferry ... -n N`: runs the same program on N ranks of this node, through mpirun.
#pragma once

#include <string>
#include <vector>

namespace ferry::launcher {

struct Launch {
  std::vector<std::string> words;                              // mpirun and its arguments
  std::vector<std::pair<std::string, std::string>> variables;  // environment variables to set
};

// The command for `program` with `args` (main's, without the program's name; a rank ignores its -n N).  Ranks
// are bound to no core and share the cores' threads: OMP_NUM_THREADS = cores / ranks, at least 1, unless
// already set.  Open MPI refuses to run as root unless two variables allow it, and is not told of a batch
// system's other nodes.
Launch plan_launch(const std::string& program, const std::vector<std::string>& args, int ranks, int cores);

// Runs that mpirun to its end (launcher/process/job.h, also for the flags) and exits with its code.
// Throws UserError if mpirun is not on the PATH.
[[noreturn]] void launch_ranks(const std::vector<std::string>& args, int ranks, bool can_stop,
                               bool gives_input);

}  // namespace ferry::launcher
