// Ctrl-C and SIGTERM: the process ends at once, and nothing half-made stays behind.
#pragma once

#include <string>
#include <thread>
#include <vector>

namespace ferry::launcher {

// While one exists, SIGINT and SIGTERM are taken by a thread of its own, which removes the files that this
// process is still making and ends the process with exit code 128 + the signal's number.  (Under mpirun every
// rank gets the signal, and one rank that ends takes the others along.)  Made before other threads exist, so
// that they inherit a mask that leaves both signals to it.
class Interrupt {
 public:
  Interrupt();
  Interrupt(const Interrupt&) = delete;
  Interrupt& operator=(const Interrupt&) = delete;
  ~Interrupt();

 private:
  int stop_ = -1;  // eventfd: the thread shall end
  std::thread thread_;
};

// The files this process has open for writing whose names begin with a dot: results in the making, which
// get their names when they are complete (base/file.h).  Reads /proc/self/fd.
std::vector<std::string> unfinished_files();

}  // namespace ferry::launcher
