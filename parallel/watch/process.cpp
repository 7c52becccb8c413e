#include "parallel/watch/process.h"

#include <fstream>
#include <sstream>
#include <string>

namespace ferry::parallel {

// "PID (name) state ...", where the name may contain spaces and parentheses; the start time is field 22.
std::optional<std::uint64_t> start_time(pid_t process) {
  std::ifstream file("/proc/" + std::to_string(process) + "/stat");
  std::string line;
  std::getline(file, line);
  const std::size_t name_end = line.rfind(')');
  if (name_end == std::string::npos) return std::nullopt;
  std::istringstream rest(line.substr(name_end + 1));
  char state = 0;
  rest >> state;
  if (state == 'Z' || state == 'X') return std::nullopt;
  constexpr int kFieldsBetween = 18;  // 4 to 21
  std::string skipped;
  for (int i = 0; i < kFieldsBetween; ++i) rest >> skipped;
  std::uint64_t started = 0;
  if (!(rest >> started)) return std::nullopt;
  return started;
}

bool has_ended(pid_t process, std::uint64_t started) {
  const auto found = start_time(process);
  return !found || *found != started;
}

}  // namespace ferry::parallel
