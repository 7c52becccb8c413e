// Ends the program with the file's name if a mapped file can no longer be read.
//
// Reading a page of a mapping raises SIGBUS if the file has become shorter since, or if its disk or server
// fails.  The first guarded mapping installs a handler, which writes one line to stderr and ends the process
// with exit code 1.  A SIGBUS at any other address has its default effect.
#pragma once

#include <cstddef>
#include <string>

namespace ferry {

// Guards one mapping while it exists.  Movable.
class MappingGuard {
 public:
  MappingGuard() = default;
  // Guards [data, data + bytes), a mapping of `path`.  Without a free place (there are 4096) it guards
  // nothing.
  MappingGuard(const void* data, std::size_t bytes, const std::string& path);
  MappingGuard(MappingGuard&& other) noexcept;
  MappingGuard& operator=(MappingGuard&& other) noexcept;
  MappingGuard(const MappingGuard&) = delete;
  MappingGuard& operator=(const MappingGuard&) = delete;
  ~MappingGuard();

 private:
  int place_ = -1;  // -1: none
};

}  // namespace ferry
