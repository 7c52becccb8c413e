#include "launcher/process/signals.h"

#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>

namespace ferry::launcher {
namespace {

constexpr int kPollLimit_ms = 100;

bool is_ignored(int signal) {
  struct sigaction action = {};
  return ::sigaction(signal, nullptr, &action) == 0 && action.sa_handler == SIG_IGN;
}

}  // namespace

sigset_t ending_signals() {
  sigset_t set;
  sigemptyset(&set);
  // Shells start background jobs with SIGINT and SIGQUIT ignored; if sent explicitly, they count.
  for (const int signal : {SIGINT, SIGTERM, SIGQUIT}) sigaddset(&set, signal);
  for (const int signal : {SIGHUP, SIGUSR1, SIGUSR2}) {
    if (!is_ignored(signal)) sigaddset(&set, signal);
  }
  return set;
}

std::string signal_name(int signal) {
  const char* name = ::sigabbrev_np(signal);
  return name == nullptr ? "signal " + std::to_string(signal) : std::string("SIG") + name;
}

std::string stopped_early(int signal) {
  return "stopped by " + signal_name(signal) + " before its first step";
}

int exit_code_of(int wait_status) {
  return WIFSIGNALED(wait_status) ? 128 + WTERMSIG(wait_status) : WEXITSTATUS(wait_status);
}

void say_last(const std::string& text) {
  const std::string line = "ferry: " + text + "\n";
  pollfd err = {STDERR_FILENO, POLLOUT, 0};
  if (::poll(&err, 1, kPollLimit_ms) <= 0 || (err.revents & POLLOUT) == 0) return;
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, line.data(), line.size());
}

}  // namespace ferry::launcher
