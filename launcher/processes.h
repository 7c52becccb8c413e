// Other processes of this machine, as /proc lists them.
#pragma once

#include <sys/types.h>

#include <vector>

namespace ferry::launcher {

// The processes whose parent is `parent`, those that have ended but were not waited for included.
std::vector<pid_t> children_of(pid_t parent);

}  // namespace ferry::launcher
