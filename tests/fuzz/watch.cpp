#include "tests/fuzz/watch.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstring>
#include <fstream>

// The sanitizers look for these names.  NOLINTBEGIN(bugprone-reserved-identifier)
// Defined where AddressSanitizer is linked.
extern "C" __attribute__((weak)) void __sanitizer_set_death_callback(void (*callback)());

// Read by AddressSanitizer at its start.
extern "C" const char* __asan_default_options() {
  return "max_allocation_size_mb=64:hard_rss_limit_mb=3000:quarantine_size_mb=64:malloc_context_size=6";
}
extern "C" const char* __ubsan_default_options() { return "print_stacktrace=1:abort_on_error=1"; }
// NOLINTEND(bugprone-reserved-identifier)

namespace ferry::fuzz {
namespace {

constexpr int kMostSeconds = 20;             // computing
constexpr unsigned kMostClockSeconds = 300;  // by the clock
constexpr rlim_t kMostMemory = rlim_t{256} << 20;

// Read by signal handlers.
std::string kept_path;
std::string_view now;

void say(const char* text) {
  if (::write(STDERR_FILENO, text, std::strlen(text)) < 0) return;
}

void end(int signal) {
  const bool late = signal == SIGALRM || signal == SIGPROF;
  say(late ? "\nfuzz: one input took too long\n" : "\nfuzz: a crash\n");
  keep_input();
  ::_exit(1);
}

// Of this process from now on; 0: no limit.
void limit_computing(int seconds) {
  const itimerval limit = {.it_interval = {}, .it_value = {.tv_sec = seconds, .tv_usec = 0}};
  ::setitimer(ITIMER_PROF, &limit, nullptr);
}

void limit_memory() {
  std::ifstream file("/proc/self/statm");
  rlim_t pages = 0;
  file >> pages;
  const rlim_t most = pages * static_cast<rlim_t>(::sysconf(_SC_PAGESIZE)) + kMostMemory;
  const rlimit limit = {most, most};
  ::setrlimit(RLIMIT_AS, &limit);
}

}  // namespace

void keep_input() {
  if (now.data() == nullptr) return;
  const int file = ::open(kept_path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (file < 0) return;
  if (::write(file, now.data(), now.size()) == static_cast<ssize_t>(now.size())) {
    say("fuzz: the input is in ");
    say(kept_path.c_str());
    say("\n");
  }
  ::close(file);
}

void watch_this_process(const std::string& path) {
  kept_path = path;
  std::signal(SIGALRM, end);
  std::signal(SIGPROF, end);
  std::signal(SIGABRT, end);
  if (__sanitizer_set_death_callback != nullptr) {
    __sanitizer_set_death_callback(keep_input);
    return;
  }
  for (const int signal : {SIGSEGV, SIGBUS, SIGFPE, SIGILL}) std::signal(signal, end);
  limit_memory();
}

void reads_now(std::string_view input) {
  now = input;
  limit_computing(kMostSeconds);
  ::alarm(kMostClockSeconds);
}

void reads_nothing() {
  limit_computing(0);
  ::alarm(0);
  now = {};
}

}  // namespace ferry::fuzz
