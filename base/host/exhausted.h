// What to say of a failure when the host's memory may be the cause.
#pragma once

#include <exception>
#include <string>

namespace ferry {

// The error's own words, without the stack that LibTorch appends.  Those of std::bad_alloc say nothing: in
// their place, that the host's memory is full, how much of it is left, and the process's own limit if it has
// one (ulimit -v, -d).
std::string message_of(const std::exception& error);

}  // namespace ferry
