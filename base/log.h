// Log messages, on stderr, through spdlog's default logger:
//
//   start_log("info", rank, size);
//   spdlog::warn("no room for {} slots", n);
//
// A line reads "18:02:11 [1/4] warning: no room for 3 slots"; the rank is omitted if there is only one.
#pragma once

#include <spdlog/spdlog.h>

#include <string>

namespace ferry {

// Sends everything at or above `level` to stderr.  Call once from main, before other threads exist.
// Throws UserError naming the accepted levels (trace, debug, info, warning, error, off).
void start_log(const std::string& level, int rank, int size);

}  // namespace ferry
