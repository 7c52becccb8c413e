// What to say of a failure when the host's memory may be the cause.
#pragma once

#include <exception>
#include <string>

namespace ferry {

// The error's own words, without the stack that LibTorch appends.  Those of std::bad_alloc, and of a thread
// that could not be started, say little: also how much of the host's memory is left, and what this process
// itself may take if that is limited (ulimit -v, -d).
std::string message_of(const std::exception& error);

}  // namespace ferry
