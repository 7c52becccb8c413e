#include "launcher/process/interrupt.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <utility>

#include "base/error.h"
#include "base/files/pending_file.h"
#include "launcher/process/job.h"
#include "launcher/process/signals.h"
#include "launcher/program.h"

namespace ferry::launcher {
namespace {

namespace fs = std::filesystem;

constexpr int kLook_ms = 10;  // whether a run that was asked can be given up
constexpr int kAllGiveUp_ms = 1;
constexpr double kTell_s = 0.05;
constexpr double kAllHear_s = 0.2;
constexpr double kAllGiveUp_s = 3;

bool writable(int descriptor) {
  const int flags = ::fcntl(descriptor, F_GETFL);
  return flags >= 0 && (flags & O_ACCMODE) != O_RDONLY;
}

}  // namespace

void Interrupt::set_peers(Peers peers) {
  const std::lock_guard lock(mutex_);
  peers_ = std::move(peers);
}

std::vector<std::string> unfinished_files() {
  std::vector<std::string> files;
  std::error_code ignored;
  for (const fs::directory_entry& entry : fs::directory_iterator("/proc/self/fd", ignored)) {
    const int descriptor = std::atoi(entry.path().filename().c_str());
    const fs::path file = fs::read_symlink(entry.path(), ignored);
    if (descriptor > STDERR_FILENO && writable(descriptor) && fs::is_regular_file(file, ignored) &&
        is_temporary_name(file.filename().string())) {
      files.push_back(file.string());
    }
  }
  return files;
}

Interrupt::Interrupt(worker::StopRequest* stop) : caught_(ending_signals()), request_(stop) {
  stop_ = ::eventfd(0, EFD_CLOEXEC);
  if (stop_ < 0) throw_errno("eventfd");
  thread_ = std::thread([this] { run(); });
}

void Interrupt::run() {
  Asked asked;
  pollfd sources[2] = {{caught_.descriptor(), POLLIN, 0}, {stop_, POLLIN, 0}};
  while (sources[1].revents == 0) {
    int look_ms = -1;
    if (asked.signal != 0) look_ms = asked.gave_up ? kAllGiveUp_ms : kLook_ms;
    ::poll(sources, 2, look_ms);
    if (const auto first = caught_.next()) take(first->signal, asked);
    if (asked.signal != 0) give_up_if_possible(asked);
  }
}

// `ferry -n` asks by SIGUSR1; by SIGTERM, through mpirun, it ends the job.
bool Interrupt::can_ask(int signal) const {
  if (request_ == nullptr) return false;
  return signal == SIGUSR1 || (signal == SIGTERM && !launched_by_ferry());
}

void Interrupt::take(int signal, Asked& asked) {
  const Clock::time_point now = Clock::now();
  if (asked.signal == signal && now - asked.at < as_duration(kOneDelivery_s)) return;
  const std::lock_guard lock(mutex_);
  const bool lost = peers_.one_has_gone && peers_.one_has_gone();
  // What a launcher sends the ranks of a job that ends.
  const bool ends_anyway = asked.gave_up && (signal == SIGTERM || signal == SIGUSR1);
  if (ends_anyway && !lost) end_process(stopped_early(asked.signal), worker::kRequeueExit);
  if (lost || asked.signal != 0 || !can_ask(signal))
    end_process("ended by " + signal_name(signal), 128 + signal);
  asked.signal = signal;
  asked.at = now;
  request_->ask();
}

void Interrupt::give_up_if_possible(Asked& asked) {
  const std::lock_guard lock(mutex_);
  if (!request_->give_up(peers_.one_has_given_up && peers_.one_has_given_up())) return;
  const Clock::time_point now = Clock::now();
  if (!asked.gave_up) asked.gave_up = now;
  if (peers_.give_up && now >= asked.tell_at) {
    peers_.give_up();
    asked.tell_at = now + as_duration(kTell_s);
  }
  if (!asked.all_gave_up && peers_.all_have_given_up && peers_.all_have_given_up()) asked.all_gave_up = now;
  // Under Slurm a rank that ends takes the others of its step with it, so they end at the same time.
  const bool all = asked.all_gave_up && now - *asked.all_gave_up >= as_duration(kAllHear_s);
  if (all || !peers_.give_up || now - *asked.gave_up >= as_duration(kAllGiveUp_s))
    end_process(stopped_early(asked.signal), worker::kRequeueExit);
}

void Interrupt::end_process(const std::string& how, int code) {
  if (peers_.leave) peers_.leave();
  for (const std::string& file : unfinished_files()) ::unlink(file.c_str());
  // Under `ferry -n` the parent process reports it.
  if (is_reporting_process() && !started_by_job()) say_last(how);
  ::_exit(code);
}

Interrupt::~Interrupt() {
  ::eventfd_write(stop_, 1);
  thread_.join();
  ::close(stop_);
  caught_.release();
}

}  // namespace ferry::launcher
