#include "base/error.h"

#include <cerrno>
#include <cstring>

namespace ferry {

void throw_errno(const std::string& what) { throw SystemError(what + ": " + std::strerror(errno)); }

std::string at_place(const char* text, const std::source_location& place) {
  return std::string(text) + " (" + place.file_name() + ":" + std::to_string(place.line()) + ")";
}

}  // namespace ferry
