#include "launcher/process/caught.h"

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <vector>

#include "base/error.h"

namespace ferry::launcher {
namespace {

// Ends of a pipe that is created once and stays open: after release, a handler may still be running on
// another thread.
std::atomic<int> read_end = -1;
std::atomic<int> write_end = -1;

void make_pipe() {
  if (read_end >= 0) return;
  std::array<int, 2> ends = {};
  // Non-blocking: a handler must not wait for the reader.
  if (::pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK) != 0) throw_errno("pipe2");
  read_end = ends[0];
  write_end = ends[1];
}

// Signal handler: may interrupt anything.
void note(int signal, siginfo_t* info, void* /*context*/) {
  const int error = errno;
  const Caught caught = {signal, info->si_code > 0};
  [[maybe_unused]] const ssize_t written = ::write(write_end, &caught, sizeof caught);
  errno = error;
}

std::vector<int> signals_of(const sigset_t& set) {
  std::vector<int> signals;
  for (int signal = 1; signal < NSIG; ++signal) {
    if (sigismember(&set, signal) == 1) signals.push_back(signal);
  }
  return signals;
}

}  // namespace

CaughtSignals::CaughtSignals(const sigset_t& set) : set_(set) {
  make_pipe();
  struct sigaction ours = {};
  ours.sa_sigaction = note;
  ours.sa_flags = SA_SIGINFO | SA_RESTART;
  for (const int signal : signals_of(set_)) {
    ::sigaction(signal, &ours, &actions_[static_cast<std::size_t>(signal)]);
  }
  ::pthread_sigmask(SIG_UNBLOCK, &set_, &mask_);
}

int CaughtSignals::descriptor() const { return read_end; }

std::optional<Caught> CaughtSignals::next() const {
  Caught caught;
  if (::read(read_end, &caught, sizeof caught) != sizeof caught) return std::nullopt;
  return caught;
}

CaughtSignals::~CaughtSignals() {
  give_back();
  while (next()) continue;
}

void CaughtSignals::release() {
  give_back();
  while (const std::optional<Caught> caught = next()) ::raise(caught->signal);
}

void CaughtSignals::give_back() {
  if (released_) return;
  released_ = true;
  for (const int signal : signals_of(set_)) {
    ::sigaction(signal, &actions_[static_cast<std::size_t>(signal)], nullptr);
  }
  ::pthread_sigmask(SIG_SETMASK, &mask_, nullptr);
}

void CaughtSignals::raise_by_default(int signal) {
  struct sigaction ours = {};
  struct sigaction by_default = {};
  by_default.sa_handler = SIG_DFL;
  const bool changed = ::sigaction(signal, &by_default, &ours) == 0;
  ::raise(signal);  // not kill(), which another thread might receive, and later
  if (changed) ::sigaction(signal, &ours, nullptr);
}

void CaughtSignals::forget_in_child() const {
  for (const int signal : signals_of(set_)) ::signal(signal, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

}  // namespace ferry::launcher
