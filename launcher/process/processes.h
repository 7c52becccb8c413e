// Other processes of this machine, as /proc lists them.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace ferry::launcher {

// The processes whose parent is `parent`, those that have ended but were not waited for included.
std::vector<pid_t> children_of(pid_t parent);

// False when there is no such process, or it has ended and was not waited for.
bool is_running(pid_t process);

// True when `process` was started with the variable `name` = `value` in its environment, and may be looked
// at.
bool was_given(pid_t process, const std::string& name, const std::string& value);

}  // namespace ferry::launcher
