#include "launcher/process/spawn.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <sstream>
#include <utility>

#include "base/error.h"
#include "launcher/process/job.h"
#include "parallel/mpi/alone.h"

namespace ferry::launcher {
namespace {

int usable_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof(set), &set) != 0) return 1;
  return std::max(1, CPU_COUNT(&set));
}

bool on_path(const std::string& name) {
  const char* path = std::getenv("PATH");
  std::istringstream folders(path == nullptr ? "" : path);
  for (std::string folder; std::getline(folders, folder, ':');) {
    if (access(folder.append("/").append(name).c_str(), X_OK) == 0) return true;
  }
  return false;
}

}  // namespace

Launch plan_launch(const std::string& program, const std::vector<std::string>& args, int ranks, int cores) {
  Launch launch;
  launch.words = {"mpirun", "--bind-to", "none", "--oversubscribe", "-n", std::to_string(ranks), program};
  launch.words.insert(launch.words.end(), args.begin(), args.end());
  launch.variables = {{"OMPI_ALLOW_RUN_AS_ROOT", "1"}, {"OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1"}};
  // A failing rank reports the reason itself; mpirun would add ten lines.  (Same as its --quiet, which a user
  // can turn off.)
  if (std::getenv("OMPI_MCA_orte_execute_quiet") == nullptr) {
    launch.variables.emplace_back("OMPI_MCA_orte_execute_quiet", "1");
  }
  // Otherwise the ranks would be spread over all nodes of a batch job.
  if (std::getenv("OMPI_MCA_ras") == nullptr) {
    launch.variables.emplace_back("OMPI_MCA_ras", "^alps,gridengine,lsf,slurm,tm");
  }
  if (std::getenv("OMP_NUM_THREADS") == nullptr) {
    launch.variables.emplace_back("OMP_NUM_THREADS", std::to_string(std::max(1, cores / ranks)));
  }
  return launch;
}

PreparedLaunch::PreparedLaunch(const std::vector<std::string>& args, int ranks) {
  setenv("PATH", "/bin:/usr/bin", 0);  // execvp's default
  if (!on_path("mpirun")) {
    throw UserError("-n: mpirun cannot be started; is Open MPI's mpirun on the PATH?");
  }
  const std::string program = std::filesystem::read_symlink("/proc/self/exe").string();
  Launch launch = plan_launch(program, args, ranks, usable_cores());
  parallel::leave_step();
  for (const auto& [name, value] : launch.variables) set(name, value);
  // mpirun requires ssh even if all ranks are on this node.
  if (!on_path("ssh") && !on_path("rsh")) set("OMPI_MCA_plm_rsh_agent", "");
  words_ = std::move(launch.words);
}

PreparedLaunch::~PreparedLaunch() {
  for (const auto& [name, value] : before_) {
    if (value) {
      setenv(name.c_str(), value->c_str(), 1);
    } else {
      unsetenv(name.c_str());
    }
  }
}

void PreparedLaunch::set(const std::string& name, const std::string& value) {
  const char* before = std::getenv(name.c_str());
  before_.emplace_back(name, before == nullptr ? std::nullopt : std::optional<std::string>(before));
  setenv(name.c_str(), value.c_str(), 1);
}

void launch_ranks(const std::vector<std::string>& args, int ranks, bool can_stop, bool gives_input) {
  const PreparedLaunch launch(args, ranks);
  const JobStreams streams{.in = gives_input ? STDIN_FILENO : -1};
  const int code = run_job(launch.words(), can_stop, streams).code;
  std::fflush(nullptr);
  std::_Exit(code);  // skips LibTorch's exit handlers, which take 0.1 s
}

}  // namespace ferry::launcher
