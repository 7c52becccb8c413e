#include "launcher/processes.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

namespace ferry::launcher {
namespace {

// /proc/PID/stat is "PID (name) state parent ..."; a name may hold spaces and parentheses.
pid_t parent_in(const std::string& stat) {
  const std::size_t name_end = stat.rfind(')');
  if (name_end == std::string::npos) return 0;
  std::istringstream rest(stat.substr(name_end + 1));
  char state = 0;
  pid_t parent = 0;
  rest >> state >> parent;
  return parent;
}

}  // namespace

std::vector<pid_t> children_of(pid_t parent) {
  std::vector<pid_t> found;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator("/proc", ignored)) {
    const pid_t process = std::atoi(entry.path().filename().c_str());
    if (process <= 0) continue;
    std::ifstream file(entry.path() / "stat");
    std::string stat;
    if (std::getline(file, stat) && parent_in(stat) == parent) found.push_back(process);
  }
  return found;
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
