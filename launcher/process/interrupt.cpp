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

bool writable(int descriptor) {
  const int flags = ::fcntl(descriptor, F_GETFL);
  return flags >= 0 && (flags & O_ACCMODE) != O_RDONLY;
}

[[noreturn]] void end_by(int signal) {
  for (const std::string& file : unfinished_files()) ::unlink(file.c_str());
  // Under `ferry -n` the parent process reports it.
  if (is_reporting_process() && !started_by_job()) say_last("ended by " + signal_name(signal));
  ::_exit(128 + signal);
}

}  // namespace

void Interrupt::wait_for_signal() {
  pollfd sources[2] = {{caught_.descriptor(), POLLIN, 0}, {stop_, POLLIN, 0}};
  while (sources[1].revents == 0) {
    ::poll(sources, 2, -1);
    const auto first = caught_.next();
    if (!first) continue;
    const std::lock_guard lock(mutex_);
    if (words_) words_();
    end_by(first->signal);
  }
}

void Interrupt::before_end(std::function<void()> words) {
  const std::lock_guard lock(mutex_);
  words_ = std::move(words);
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

Interrupt::Interrupt() : caught_(ending_signals()) {
  stop_ = ::eventfd(0, EFD_CLOEXEC);
  if (stop_ < 0) throw_errno("eventfd");
  thread_ = std::thread([this] { wait_for_signal(); });
}

Interrupt::~Interrupt() {
  ::eventfd_write(stop_, 1);
  thread_.join();
  ::close(stop_);
  caught_.release();
}

}  // namespace ferry::launcher
