// Pages of memory.
#pragma once

#include <unistd.h>

#include <cstddef>

namespace ferry {

// A page of the system: mappings and madvise() count in these.
inline std::size_t page_bytes() { return static_cast<std::size_t>(::sysconf(_SC_PAGESIZE)); }

// What MADV_HUGEPAGE asks for.
inline constexpr std::size_t kHugePage = std::size_t{2} << 20;

}  // namespace ferry
