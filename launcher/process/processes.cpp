#include "launcher/process/processes.h"

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

namespace ferry::launcher {
namespace {

struct Stat {
  char state = 0;
  pid_t parent = 0;
};

// /proc/PID/stat is "PID (name) state parent ..."; a name may contain spaces and parentheses.  All zeros if
// there is no such process.
Stat stat_of(const std::filesystem::path& process) {
  std::ifstream file(process / "stat");
  std::string line;
  std::getline(file, line);
  Stat stat;
  const std::size_t name_end = line.rfind(')');
  if (name_end == std::string::npos) return stat;
  std::istringstream rest(line.substr(name_end + 1));
  rest >> stat.state >> stat.parent;
  return stat;
}

}  // namespace

std::vector<pid_t> children_of(pid_t parent) {
  std::vector<pid_t> found;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator("/proc", ignored)) {
    const pid_t process = std::atoi(entry.path().filename().c_str());
    if (process <= 0) continue;
    if (stat_of(entry.path()).parent == parent) found.push_back(process);
  }
  return found;
}

bool is_running(pid_t process) {
  if (::kill(process, 0) != 0 && errno == ESRCH) return false;
  const char state = stat_of("/proc/" + std::to_string(process)).state;
  return state != 'Z' && state != 'X';
}

bool was_given(pid_t process, const std::string& name, const std::string& value) {
  std::ifstream file("/proc/" + std::to_string(process) + "/environ");
  const std::string wanted = name + "=" + value;
  for (std::string entry; std::getline(file, entry, '\0');) {
    if (entry == wanted) return true;
  }
  return false;
}

}  // namespace ferry::launcher
