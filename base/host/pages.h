// Pages of memory.
#pragma once

#include <unistd.h>

#include <cstddef>

namespace ferry {

// Page size of the system, the granularity of mmap() and madvise().
inline std::size_t page_bytes() { return static_cast<std::size_t>(::sysconf(_SC_PAGESIZE)); }

// Page size that MADV_HUGEPAGE requests.
inline constexpr std::size_t kHugePage = std::size_t{2} << 20;

}  // namespace ferry
