#include "base/host/exhausted.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include <new>
#include <system_error>

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

std::string host_text() {
  const HostMemory memory = host_memory();
  return fmt::format("{} of {} are available ({}){}{}", gb(memory.available_bytes), gb(memory.total_bytes),
                     place_of(memory), own_limit(RLIMIT_AS, "ulimit -v"),
                     own_limit(RLIMIT_DATA, "ulimit -d"));
}

bool means_no_thread(const std::exception& error) {
  const auto* failed = dynamic_cast<const std::system_error*>(&error);
  return failed != nullptr && failed->code() == std::errc::resource_unavailable_try_again;
}

}  // namespace

std::string message_of(const std::exception& error) {
  if (dynamic_cast<const std::bad_alloc*>(&error) != nullptr) return "host memory is full: " + host_text();
  if (means_no_thread(error)) {
    return fmt::format("a thread could not be started ({}); of host memory {}", error.what(), host_text());
  }
  const std::string words = error.what();
  return words.substr(0, words.find("\nException raised from "));
}

}  // namespace ferry
