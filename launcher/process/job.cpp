#include "launcher/process/job.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <csignal>
#include <cstddef>
#include <cstdlib>
#include <limits>
#include <optional>
#include <string_view>

#include "base/clock.h"
#include "base/error.h"
#include "base/handle.h"
#include "launcher/process/caught.h"
#include "launcher/process/processes.h"
#include "launcher/process/relay.h"
#include "launcher/process/signals.h"
#include "worker/state/stop_request.h"

namespace ferry::launcher {
namespace {

constexpr const char* kMpirun = "FERRY_MPIRUN";  // its process id, read by the ranks
constexpr double kEndsWithin_s = 3;              // for mpirun after SIGTERM; it gives ranks one second
constexpr double kLastWords_s = 1;
constexpr int kLook_ms = 20;

sigset_t watched_signals() {
  sigset_t set = ending_signals();
  for (const int signal : {SIGTSTP, SIGCONT}) sigaddset(&set, signal);
  return set;
}

// mpirun's arguments and environment, built before fork: if another thread was inside setenv, a child that
// calls it deadlocks.
class Exec {
 public:
  explicit Exec(std::vector<std::string>& words) {
    for (std::string& word : words) words_.push_back(word.data());
    words_.push_back(nullptr);
    for (char** entry = ::environ; *entry != nullptr; ++entry) {
      if (!std::string_view(*entry).starts_with(name_)) environment_.push_back(*entry);
    }
    environment_.push_back(mpirun_.data());
    environment_.push_back(nullptr);
  }
  // Called in the child.  Returns on failure.
  void run() {
    char* digits = mpirun_.data() + name_.size();
    std::to_chars(digits, digits + kDigits, ::getpid());
    ::execvpe(words_[0], words_.data(), environment_.data());
  }

 private:
  static constexpr std::size_t kDigits = std::numeric_limits<pid_t>::digits10 + 1;
  const std::string name_ = std::string(kMpirun) + "=";
  std::string mpirun_ = name_ + std::string(kDigits, '\0');
  std::vector<char*> words_;
  std::vector<char*> environment_;
};

// Runs in the child, between fork and exec.
[[noreturn]] void become_mpirun(Exec& exec, pid_t parent, const JobStreams& streams,
                                const CaughtSignals& caught) {
  ::setpgid(0, 0);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(1);  // the parent died before the line above
  ::dup2(streams.in >= 0 ? streams.in : ::open("/dev/null", O_RDONLY | O_CLOEXEC), STDIN_FILENO);
  ::dup2(streams.out, STDOUT_FILENO);
  ::dup2(streams.err, STDERR_FILENO);
  ::signal(SIGPIPE, SIG_DFL);
  caught.forget_in_child();
  exec.run();
  say_last("mpirun cannot be executed");
  ::_exit(1);
}

class Job {
 public:
  Job(std::vector<std::string>& words, bool can_stop, const JobStreams& streams);
  JobEnd wait();

 private:
  void start(std::vector<std::string>& words, int in);
  void take(const Caught& caught);
  void reap();
  void ask_to_stop(int signal);
  void end_by(int signal);
  void signal_all(int signal) const;
  void stop(bool sent_by_terminal);
  void end_adopted();
  JobEnd say_how_it_ended();
  JobEnd said(int code, bool by_signal, const std::string& text) const;

  CaughtSignals caught_{watched_signals()};
  Relay out_;
  Relay err_;
  pid_t mpirun_ = -1;
  Handle<int, ::close, -1> mpirun_end_;  // readable once it has ended
  int status_ = 0;
  bool ended_ = false;
  bool can_stop_;
  int stopping_signal_ = 0;  // the ranks have been asked to stop
  Clock::time_point stopping_since_;
  int ending_signal_ = 0;
  Clock::time_point kill_at_ = Clock::time_point::max();
};

Job::Job(std::vector<std::string>& words, bool can_stop, const JobStreams& streams)
    : out_(streams.out), err_(streams.err), can_stop_(can_stop) {
  ::signal(SIGCHLD, SIG_DFL);  // ignored children cannot be waited for
  // Ranks orphaned by mpirun become children of this process, which ends them.
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  start(words, streams.in);
  out_.start();
  err_.start();
}

void Job::start(std::vector<std::string>& words, int in) {
  Exec exec(words);
  const pid_t parent = ::getpid();
  sigset_t all;
  sigset_t mask;
  sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &mask);  // the child must not catch signals meant for itself
  mpirun_ = ::fork();
  if (mpirun_ == 0) become_mpirun(exec, parent, {in, out_.input(), err_.input()}, caught_);
  ::pthread_sigmask(SIG_SETMASK, &mask, nullptr);
  if (mpirun_ < 0) throw_errno("fork");
  mpirun_end_ = Handle<int, ::close, -1>(static_cast<int>(::syscall(SYS_pidfd_open, mpirun_, 0)));
}

JobEnd Job::wait() {
  while (!ended_) {
    pollfd sources[2] = {{caught_.descriptor(), POLLIN, 0}, {mpirun_end_.get(), POLLIN, 0}};
    // Without a pidfd (Linux before 5.3, or a sandbox that forbids it), poll for the end.
    const bool looks = !mpirun_end_ || kill_at_ != Clock::time_point::max();
    ::poll(sources, 2, looks ? kLook_ms : -1);
    while (const std::optional<Caught> caught = caught_.next()) take(*caught);
    reap();
    if (Clock::now() >= kill_at_) ::kill(mpirun_, SIGKILL);
  }
  end_adopted();
  return say_how_it_ended();
}

void Job::take(const Caught& caught) {
  if (caught.signal == SIGTSTP) {
    if (ending_signal_ == 0) stop(caught.by_kernel);
  } else if (caught.signal == SIGCONT) {
    signal_all(SIGCONT);
  } else if (can_stop_ && (caught.signal == SIGTERM || caught.signal == SIGUSR1)) {
    ask_to_stop(caught.signal);
  } else {
    end_by(caught.signal);
  }
}

// Under SIGTERM mpirun gives the ranks a second; a step may take minutes.  They are asked directly: an mpirun
// that has just been started would die of SIGUSR1 instead of passing it on.
void Job::ask_to_stop(int signal) {
  const Clock::time_point now = Clock::now();
  if (signal == stopping_signal_ && now - stopping_since_ < as_duration(kOneDelivery_s)) return;
  if (stopping_signal_ != 0) return end_by(signal);
  stopping_signal_ = signal;
  stopping_since_ = now;
  signal_all(SIGCONT);
  const std::vector<pid_t> ranks = children_of(mpirun_);
  for (const pid_t rank : ranks) ::kill(rank, SIGUSR1);
  if (ranks.empty()) {  // nothing has begun
    kill_at_ = now + as_duration(kEndsWithin_s);
    ::kill(mpirun_, SIGTERM);
  }
}

void Job::reap() {
  int status = 0;
  for (pid_t child = 0; (child = ::waitpid(-1, &status, WNOHANG)) > 0;) {
    if (child != mpirun_) continue;
    status_ = status;
    ended_ = true;
  }
}

// Sends mpirun SIGTERM for any signal: it ends the ranks, and exits with an uninformative code.
void Job::end_by(int signal) {
  if (ending_signal_ != 0) return;
  ending_signal_ = signal;
  kill_at_ = Clock::now() + as_duration(kEndsWithin_s);
  signal_all(SIGCONT);
  ::kill(mpirun_, SIGTERM);
}

void Job::signal_all(int signal) const {
  // mpirun first: once stopped, it starts no rank after its children have been listed.
  ::kill(mpirun_, signal);
  for (const pid_t rank : children_of(mpirun_)) ::kill(rank, signal);
}

// The terminal's SIGTSTP does not stop an orphaned process group (POSIX); a SIGTSTP sent by a process does
// stop it.
void Job::stop(bool sent_by_terminal) {
  signal_all(SIGSTOP);
  CaughtSignals::raise_by_default(sent_by_terminal ? SIGTSTP : SIGSTOP);
  signal_all(SIGCONT);
}

// Ends ranks that mpirun left behind; not processes started earlier by a shell that became this process.
void Job::end_adopted() {
  const Clock::time_point end = Clock::now() + as_duration(kEndsWithin_s);
  while (Clock::now() < end) {
    reap();
    int left = 0;
    for (const pid_t process : children_of(::getpid())) {
      if (!was_given(process, kMpirun, std::to_string(mpirun_))) continue;
      ::kill(process, SIGKILL);
      ++left;
    }
    if (left == 0) return;
    ::poll(nullptr, 0, kLook_ms);
  }
}

JobEnd Job::said(int code, bool by_signal, const std::string& text) const {
  say_last(text);
  return {code, by_signal, text};
}

JobEnd Job::say_how_it_ended() {
  const int code = exit_code_of(status_);
  const bool ended_here = ending_signal_ != 0 && code != 0;
  const bool stopped = stopping_signal_ != 0 && !ended_here && code != 0;
  const bool by_signal = ended_here || stopped;
  // Slow readers get everything, unless a signal ended or stopped the job.
  if (!by_signal) caught_.release();
  bool silent = true;
  for (Relay* relay : {&out_, &err_}) silent = !relay->finish(by_signal ? kLastWords_s : -1) && silent;
  if (ended_here) return said(128 + ending_signal_, true, "ended by " + signal_name(ending_signal_));
  if (stopped && code == worker::kRequeueExit)
    return said(code, true, "stopped by " + signal_name(stopping_signal_));
  // mpirun had no ranks yet, or one had no handler yet.
  if (stopped && (kill_at_ != Clock::time_point::max() || code == 128 + SIGUSR1))
    return said(worker::kRequeueExit, true, stopped_early(stopping_signal_));
  if (WIFSIGNALED(status_)) return said(code, false, "mpirun was ended by " + signal_name(WTERMSIG(status_)));
  if (code > 128 && code < 128 + NSIG)
    return said(code, false, "a rank was ended by " + signal_name(code - 128));
  if (code != 0 && silent) {
    return said(
        code, false,
        "a rank ended with exit code " + std::to_string(code) +
            " and said nothing; with OMPI_MCA_orte_execute_quiet=0 in the environment Open MPI may say why");
  }
  return {code, stopped, ""};
}

}  // namespace

JobEnd run_job(std::vector<std::string> words, bool can_stop, const JobStreams& streams) {
  return Job(words, can_stop, streams).wait();
}

bool started_by_job() {
  const char* mpirun = std::getenv(kMpirun);
  return mpirun != nullptr && std::atoi(mpirun) == ::getppid();
}

bool launched_by_ferry() { return std::getenv(kMpirun) != nullptr; }

void die_with_mpirun() {
  const char* mpirun = std::getenv(kMpirun);
  // mpirun died earlier, for example while libraries were loaded.  (The parent may be another process if
  // `mpirun` is a script.)
  if (mpirun != nullptr && !is_running(std::atoi(mpirun))) ::_exit(1);
  if (!started_by_job()) return;
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (!started_by_job()) ::_exit(1);
}

}  // namespace ferry::launcher
