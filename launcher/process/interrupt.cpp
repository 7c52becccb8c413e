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

constexpr double kRanksApart_s = 0.5;
constexpr double kLook_s = 0.01;

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
    ::poll(sources, 2, -1);
    if (const auto first = caught_.next()) take(first->signal, asked);
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
  if (lost || asked.signal != 0 || !can_ask(signal))
    end_process("ended by " + signal_name(signal), 128 + signal);
  asked = {signal, now};
  if (request_->ask() && !has_begun_soon()) end_process(stopped_early(signal), worker::kRequeueExit);
}

// Ranks enter the first step one after another: one that left while another has entered would be taken for
// lost, and Slurm kills the other ranks of a step in which one has gone.
bool Interrupt::has_begun_soon() const {
  const Clock::time_point end = Clock::now() + as_duration(kRanksApart_s);
  while (request_->nothing_done()) {
    if (Clock::now() >= end) return false;
    std::this_thread::sleep_for(as_duration(kLook_s));
  }
  return true;
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
