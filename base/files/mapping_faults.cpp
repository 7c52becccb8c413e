#include "base/files/mapping_faults.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <mutex>
#include <string_view>
#include <utility>

namespace ferry {

namespace {

// What the handler reads.  `path` is set last and cleared first; it is never freed while the handler may read
// it, since the mapping, and so every access to it, has ended by then.
struct Place {
  std::atomic<std::uintptr_t> begin{0};
  std::atomic<std::uintptr_t> end{0};
  std::atomic<const char*> path{nullptr};
};

std::array<Place, 4096>& places() {
  static std::array<Place, 4096> all;
  return all;
}

std::mutex& claiming() {
  static std::mutex mutex;
  return mutex;
}

void put(std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(STDERR_FILENO, text.data(), text.size());
    if (written <= 0) return;
    text.remove_prefix(static_cast<std::size_t>(written));
  }
}

// Calls only what a signal handler may call.
void end_by_fault(int signal, siginfo_t* info, void*) {
  const auto address = reinterpret_cast<std::uintptr_t>(info->si_addr);
  const bool by_kernel = info->si_code > 0;
  for (const Place& place : places()) {
    if (!by_kernel) break;
    const char* path = place.path.load();
    if (path == nullptr || address < place.begin.load() || address >= place.end.load()) continue;
    put("ferry: ");
    put({path, ::strlen(path)});
    put(": cannot be read any longer: the file has become shorter, or its disk or server fails\n");
    ::_exit(1);
  }
  ::signal(signal, SIG_DFL);  // an access is repeated on return, and ends the process
  if (!by_kernel) ::raise(signal);
}

void install() {
  struct sigaction action = {};
  action.sa_sigaction = end_by_fault;
  action.sa_flags = SA_SIGINFO;
  ::sigemptyset(&action.sa_mask);
  ::sigaction(SIGBUS, &action, nullptr);
}

}  // namespace

MappingGuard::MappingGuard(const void* data, std::size_t bytes, const std::string& path) {
  static std::once_flag installed;
  std::call_once(installed, install);
  char* name = ::strdup(path.c_str());
  const std::lock_guard lock(claiming());
  for (std::size_t i = 0; i < places().size() && name != nullptr; ++i) {
    Place& place = places()[i];
    if (place.path.load() != nullptr) continue;
    place.begin = reinterpret_cast<std::uintptr_t>(data);
    place.end = reinterpret_cast<std::uintptr_t>(data) + bytes;
    place.path = name;
    place_ = static_cast<int>(i);
    return;
  }
  ::free(name);
}

MappingGuard::MappingGuard(MappingGuard&& other) noexcept : place_(std::exchange(other.place_, -1)) {}

MappingGuard& MappingGuard::operator=(MappingGuard&& other) noexcept {
  std::swap(place_, other.place_);
  return *this;
}

MappingGuard::~MappingGuard() {
  if (place_ < 0) return;
  ::free(const_cast<char*>(places()[static_cast<std::size_t>(place_)].path.exchange(nullptr)));
}

}  // namespace ferry
