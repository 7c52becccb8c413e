#include "base/host/exhausted.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include <new>

#include "base/host/memory_use.h"

namespace ferry {

namespace {

std::string gb(std::size_t bytes) { return fmt::format("{:.2f} GB", static_cast<double>(bytes) / 1e9); }

std::string own_limit(int resource, const char* option) {
  rlimit limit = {};
  if (::getrlimit(static_cast<__rlimit_resource>(resource), &limit) != 0) return {};
  if (limit.rlim_cur == RLIM_INFINITY) return {};
  return fmt::format("; {} allows this process {}", option, gb(limit.rlim_cur));
}

std::string host_is_full() {
  const HostMemory memory = host_memory();
  return fmt::format("host memory is full: {} of {} are available ({}){}{}", gb(memory.available_bytes),
                     gb(memory.total_bytes), place_of(memory), own_limit(RLIMIT_AS, "ulimit -v"),
                     own_limit(RLIMIT_DATA, "ulimit -d"));
}

}  // namespace

std::string message_of(const std::exception& error) {
  if (dynamic_cast<const std::bad_alloc*>(&error) != nullptr) return host_is_full();
  const std::string words = error.what();
  return words.substr(0, words.find("\nException raised from "));
}

}  // namespace ferry
