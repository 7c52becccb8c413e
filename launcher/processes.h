// Other processes of this machine, as /proc lists them.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace ferry::launcher {

// The processes whose parent is `parent`, those that have ended but were not waited for included.
std::vector<pid_t> children_of(pid_t parent);

// True when `process` was started with the variable `name` = `value` in its environment, and may be looked
// at.
bool was_given(pid_t process, const std::string& name, const std::string& value);

}  // namespace ferry::launcher
