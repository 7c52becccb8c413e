#include "base/host/memory_use.h"

#include <algorithm>
#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <initializer_list>
#include <limits>
#include <optional>
#include <sstream>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace ferry {

namespace {

constexpr std::size_t kNoLimit = std::numeric_limits<std::size_t>::max();

std::ifstream open_text(const std::string& path) {
  std::ifstream file(path);
  if (!file) throw_errno("cannot read " + path);
  return file;
}

// "VmHWM:   1234 kB" -> bytes; 0 if there is no such line.
std::size_t kib_line(const std::string& path, std::string_view name) {
  std::ifstream file = open_text(path);
  for (std::string line; std::getline(file, line);) {
    if (line.rfind(name, 0) == 0) return std::stoull(line.substr(name.size())) * 1024;
  }
  return 0;
}

// Reads a file that holds one number or the word "max".
std::optional<std::size_t> number_in(const std::string& path) {
  std::ifstream file(path);
  std::string word;
  if (!(file >> word)) return std::nullopt;
  return word == "max" ? kNoLimit : std::stoull(word);
}

// "inactive_file 4096" in memory.stat: page cache, which is reclaimed before anything is killed.
std::size_t droppable(const std::string& folder, const char* key) {
  std::ifstream file(folder + "/memory.stat");
  std::string name;
  std::size_t value = 0;
  while (file >> name >> value) {
    if (name == key) return value;
  }
  return 0;
}

struct CgroupFiles {
  const char* limit;
  const char* usage;
  const char* inactive;
};
constexpr CgroupFiles kV2 = {"/memory.max", "/memory.current", "inactive_file"};
constexpr CgroupFiles kV1 = {"/memory.limit_in_bytes", "/memory.usage_in_bytes", "total_inactive_file"};

void apply_limit(HostMemory& memory, const std::string& folder, const CgroupFiles& files) {
  const std::size_t limit = number_in(folder + files.limit).value_or(kNoLimit);
  if (limit == kNoLimit) return;
  const std::size_t used = number_in(folder + files.usage).value_or(0);
  const std::size_t held = used - std::min(used, droppable(folder, files.inactive));
  memory.available_bytes = std::min(memory.available_bytes, limit - std::min(limit, held));
  if (limit < memory.total_bytes) {
    memory.total_bytes = limit;
    memory.limited_by_cgroup = true;
  }
}

// Applies the limits of the group and of every group above it up to the mount.
void apply_tree(HostMemory& memory, const std::string& mount, std::string group, const CgroupFiles& files) {
  while (true) {
    apply_limit(memory, mount + group, files);
    const std::size_t slash = group.rfind('/');
    if (slash == std::string::npos) return;
    group.resize(slash);
  }
}

// Sums the lines with these names in /proc/self/smaps over the mappings that overlap the range.
std::size_t sum_of_mappings(const void* data, std::size_t bytes,
                            std::initializer_list<std::string_view> names) {
  const auto begin = reinterpret_cast<std::uintptr_t>(data);
  std::ifstream file = open_text("/proc/self/smaps");
  std::size_t total = 0;
  bool inside = false;
  for (std::string line; std::getline(file, line);) {
    std::uintptr_t from = 0;
    std::uintptr_t to = 0;
    if (std::sscanf(line.c_str(), "%" SCNxPTR "-%" SCNxPTR " ", &from, &to) == 2) {
      inside = from < begin + bytes && to > begin;
      continue;
    }
    for (const std::string_view name : names) {
      if (inside && line.starts_with(name)) total += std::stoull(line.substr(name.size())) * 1024;
    }
  }
  return total;
}

}  // namespace

ProcessMemory process_memory(const std::string& root) {
  ProcessMemory memory;
  memory.rss_bytes = kib_line(root + "/proc/self/status", "VmRSS:");
  memory.peak_rss_bytes = kib_line(root + "/proc/self/status", "VmHWM:");
  memory.anon_bytes = kib_line(root + "/proc/self/status", "RssAnon:");
  memory.file_bytes = kib_line(root + "/proc/self/status", "RssFile:");
  return memory;
}

HostMemory host_memory(const std::string& root) {
  HostMemory memory;
  memory.total_bytes = kib_line(root + "/proc/meminfo", "MemTotal:");
  memory.available_bytes = kib_line(root + "/proc/meminfo", "MemAvailable:");
  std::ifstream groups(root + "/proc/self/cgroup");
  const std::string mount = root + "/sys/fs/cgroup";
  for (std::string line; std::getline(groups, line);) {
    const std::size_t first = line.find(':');
    const std::size_t second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    std::string group = line.substr(second + 1);
    if (group == "/") group.clear();
    if (controllers.empty()) apply_tree(memory, mount, group, kV2);
    if (controllers.find("memory") != std::string::npos) apply_tree(memory, mount + "/memory", group, kV1);
  }
  return memory;
}

std::string place_of(const HostMemory& memory) {
  return memory.limited_by_cgroup ? "limit of the cgroup" : "this machine";
}

std::size_t mapped_pss(const void* data, std::size_t bytes) { return sum_of_mappings(data, bytes, {"Pss:"}); }

std::size_t mapped_huge(const void* data, std::size_t bytes) {
  return sum_of_mappings(data, bytes, {"AnonHugePages:", "ShmemPmdMapped:", "FilePmdMapped:"});
}

}  // namespace ferry
