#include "launcher/process/age.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <string>

namespace ferry::launcher {

double process_age_s() {
  constexpr int kStartTime = 22;  // field of proc(5); the name of this program has no spaces
  std::ifstream stat("/proc/self/stat");
  std::string word;
  for (int field = 0; field < kStartTime; ++field) stat >> word;
  std::ifstream uptime("/proc/uptime");
  double now = 0;
  if (!stat || !(uptime >> now)) return 0;
  const double ticks = std::strtod(word.c_str(), nullptr);
  return std::max(0.0, now - ticks / static_cast<double>(::sysconf(_SC_CLK_TCK)));
}

}  // namespace ferry::launcher
