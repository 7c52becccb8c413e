// Processes of this node, from /proc.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>

namespace ferry::parallel {

// Start time of a process in clock ticks since boot, which tells it from a later one of the same number.
// Nothing if there is no such process, it has ended (a zombie), or /proc does not show it.
std::optional<std::uint64_t> start_time(pid_t process);

// True if the process that started at `started` has ended, even if nobody has waited for it.
bool has_ended(pid_t process, std::uint64_t started);

}  // namespace ferry::parallel
