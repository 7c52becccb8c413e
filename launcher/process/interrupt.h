// A signal that ends the run: the process ends at once, and nothing half-made stays behind.
#pragma once

#include <string>
#include <thread>
#include <vector>

#include "launcher/process/caught.h"

namespace ferry::launcher {

// While one exists, the signals of launcher/process/signals.h are taken by a thread of its own, which removes
// the files that this process is still making and ends the process with exit code 128 + the signal's number.
// (Under mpirun every rank gets the signal, and one rank that ends takes the others along.)
class Interrupt {
 public:
  Interrupt();
  Interrupt(const Interrupt&) = delete;
  Interrupt& operator=(const Interrupt&) = delete;
  ~Interrupt();

 private:
  CaughtSignals caught_;
  int stop_ = -1;  // eventfd: the thread shall end
  std::thread thread_;
};

// The files this process has open for writing under a temporary name: results in the making on a file system
// that knows no unnamed files (base/files/pending_file.h).  Reads /proc/self/fd.
std::vector<std::string> unfinished_files();

}  // namespace ferry::launcher
