// Relays a child's output to a stream of this process.
#pragma once

#include <future>
#include <thread>

namespace ferry::launcher {

// A pipe and a thread that copies it to `to`.  If the reader of `to` is gone, the rest is read and dropped:
// the writer never gets a broken pipe (Open MPI's mpirun ends the job after ten).
class Relay {
 public:
  explicit Relay(int to);
  Relay(const Relay&) = delete;
  Relay& operator=(const Relay&) = delete;
  ~Relay();

  int input() const { return input_; }  // for the child to write to; closed on exec
  // Closes the input in this process and starts copying.  Call after the child was created.
  void start();
  // Waits until all writers have closed it and everything is relayed; at most `seconds` unless negative.
  // Returns true if anything was written, or on timeout.
  bool finish(double seconds);

 private:
  int to_;
  int output_ = -1;
  int input_ = -1;
  std::future<bool> done_;  // true if anything was written
  std::thread thread_;      // outlives this object if the reader neither reads nor closes
};

}  // namespace ferry::launcher
