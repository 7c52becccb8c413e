// What a child writes, passed on to a stream of this process.
#pragma once

#include <future>
#include <thread>

namespace ferry::launcher {

// A pipe and a thread that copies it to `to`.  When the reader of `to` has gone, the rest is read and
// dropped: the writer never meets a broken pipe (Open MPI's mpirun ends the job after ten).
class Relay {
 public:
  explicit Relay(int to);
  Relay(const Relay&) = delete;
  Relay& operator=(const Relay&) = delete;
  ~Relay();

  int input() const { return input_; }  // where the child writes; closed on exec
  // Closes the input here and starts copying.  Called after the child was made.
  void start();
  // Waits until all writers have closed it and everything is passed on; no longer than `seconds` unless that
  // is negative.  True when anything was written, or was not waited for.
  bool finish(double seconds);

 private:
  int to_;
  int output_ = -1;
  int input_ = -1;
  std::future<bool> done_;  // whether anything was written
  std::thread thread_;      // outlives this object when the reader neither reads nor goes
};

}  // namespace ferry::launcher
