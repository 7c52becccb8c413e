// Ends the process at once on a signal, leaving nothing unfinished behind.
#pragma once

#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "launcher/process/caught.h"

namespace ferry::launcher {

// While one exists, a separate thread takes the signals of launcher/process/signals.h, removes the files that
// this process is still writing and exits with code 128 + the signal's number. (Under mpirun every rank
// receives the signal, and one rank that exits takes the others along.)
class Interrupt {
 public:
  Interrupt();
  Interrupt(const Interrupt&) = delete;
  Interrupt& operator=(const Interrupt&) = delete;
  ~Interrupt();

  // From now on `words`, which may report something, is called before the process ends; empty: nothing.  It
  // runs on the thread, and not after this returns with another.
  void before_end(std::function<void()> words);

 private:
  void wait_for_signal();

  CaughtSignals caught_;
  std::mutex mutex_;
  std::function<void()> words_;
  int stop_ = -1;  // eventfd: tells the thread to end
  std::thread thread_;
};

// Files that this process has open for writing under a temporary name: unfinished results on a file system
// without unnamed files (base/files/pending_file.h).  Reads /proc/self/fd.
std::vector<std::string> unfinished_files();

}  // namespace ferry::launcher
