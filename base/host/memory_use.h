// How much host memory there is, and how much of it this process uses, as the system sees it.
#pragma once

#include <cstddef>
#include <string>

namespace ferry {

struct ProcessMemory {
  std::size_t rss_bytes = 0;       // resident now
  std::size_t peak_rss_bytes = 0;  // most that was ever resident
  std::size_t anon_bytes = 0;      // resident now and this process's own
  std::size_t file_bytes = 0;      // resident now from files: programs, libraries, mapped checkpoints
};

struct HostMemory {
  std::size_t total_bytes = 0;      // of the machine, or the cgroup's limit when that is smaller
  std::size_t available_bytes = 0;  // what can still be taken without swapping or being killed
  bool limited_by_cgroup = false;   // total_bytes is the cgroup's limit
};

// This process's use, from counters that the kernel keeps.  `root` stands before /proc, for tests.  Throws
// SystemError when /proc cannot be read.
ProcessMemory process_memory(const std::string& root = "");

// The machine's memory under the limits of cgroup v1 and v2 of this process and of the groups above it.
// Page cache that can be dropped counts as available.  Throws SystemError when /proc cannot be read.
HostMemory host_memory(const std::string& root = "");

// Pss in bytes of the mappings that overlap [data, data + bytes).  Reads /proc/self/smaps: milliseconds.
std::size_t mapped_pss(const void* data, std::size_t bytes);

// What of these mappings lies on pages of 2 MiB.  Walks page tables: milliseconds a GiB on pages of 4 KiB.
std::size_t mapped_huge(const void* data, std::size_t bytes);

}  // namespace ferry
