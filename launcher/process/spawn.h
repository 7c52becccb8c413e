// `ferry ... -n N`: runs the same program on N ranks of this node, through mpirun.
#pragma once

#include <optional>
#include <string>
#include <utility>
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

// The environment and command of ranks of this program, ready for run_job(); the environment is restored when
// it is destroyed, so that a later launch of other ranks is planned anew.
class PreparedLaunch {
 public:
  // Throws UserError if mpirun is not on the PATH.
  PreparedLaunch(const std::vector<std::string>& args, int ranks);
  ~PreparedLaunch();
  PreparedLaunch(const PreparedLaunch&) = delete;
  PreparedLaunch& operator=(const PreparedLaunch&) = delete;

  const std::vector<std::string>& words() const { return words_; }

 private:
  void set(const std::string& name, const std::string& value);

  std::vector<std::string> words_;
  std::vector<std::pair<std::string, std::optional<std::string>>> before_;  // what was changed
};

// Runs them to their end (launcher/process/job.h) and exits with their code.  With `gives_input`, which needs
// a standard input that is no terminal, rank 0 reads this process's.  Throws as above.
[[noreturn]] void launch_ranks(const std::vector<std::string>& args, int ranks, bool can_stop,
                               bool gives_input);

}  // namespace ferry::launcher
