// Other processes of this node, from /proc.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace ferry::launcher {

// Children of `parent`, including zombies.
std::vector<pid_t> children_of(pid_t parent);

// False if there is no such process, or it is a zombie.
bool is_running(pid_t process);

// True if `process` was started with the variable `name` = `value` in its environment, and may be inspected.
bool was_given(pid_t process, const std::string& name, const std::string& value);

}  // namespace ferry::launcher
