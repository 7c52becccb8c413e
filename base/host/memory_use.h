// Host memory: how much there is, and how much of it this process uses, according to the kernel.
#pragma once

#include <cstddef>
#include <string>

namespace ferry {

struct ProcessMemory {
  std::size_t rss_bytes = 0;       // resident now
  std::size_t peak_rss_bytes = 0;  // peak of rss_bytes
  std::size_t anon_bytes = 0;      // resident and anonymous
  std::size_t file_bytes = 0;      // resident from files: programs, libraries, mapped checkpoints
};

struct HostMemory {
  std::size_t total_bytes = 0;      // of the node, or the cgroup's limit if that is lower
  std::size_t available_bytes = 0;  // can still be allocated without swapping or being killed
  bool limited_by_cgroup = false;   // total_bytes is the cgroup's limit
};

// This process's use, from kernel counters.  `root` is prepended to /proc, for tests.  Throws SystemError if
// /proc cannot be read.
ProcessMemory process_memory(const std::string& root = "");

// The node's memory under the cgroup v1 and v2 limits of this process and of the groups above it.  Page cache
// that can be dropped counts as available.  Throws SystemError if /proc cannot be read.
HostMemory host_memory(const std::string& root = "");

// "limit of the cgroup" or "this machine": what limits this process's memory.
std::string place_of(const HostMemory& memory);

// Pss in bytes of the mappings that overlap [data, data + bytes).  Reads /proc/self/smaps: milliseconds.
std::size_t mapped_pss(const void* data, std::size_t bytes);

// Bytes of these mappings on 2 MiB pages.  Walks page tables: milliseconds per GiB on 4 KiB pages.
std::size_t mapped_huge(const void* data, std::size_t bytes);

}  // namespace ferry
