// Keeps OpenMP threads from spinning on cores that other processes need.
//
// libgomp's threads spin for milliseconds at every barrier before they sleep.  With the cores to itself, a
// process is fastest this way.  Two runs on the same cores then wait for threads that have no core, and each
// takes many times its share. libgomp spins 100 rounds instead of 300,000 while it has more threads than
// cores, which it checks before each wait.  So if this process's threads often wait for a core, a second,
// sleeping team is kept.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <optional>
#include <stop_token>
#include <thread>

namespace ferry::worker {

// Times of all threads of a process, in ns: on a core, and ready but without one
// (/proc/PID/task/TID/schedstat).
struct CoreTimes {
  std::uint64_t on_core = 0;
  std::uint64_t waiting = 0;
};

// For this process; std::nullopt if the kernel does not count them.
std::optional<CoreTimes> core_times();

// Decides when to limit spinning, from samples 100 ms apart.
class SpinRule {
 public:
  // Returns true if spinning is to be limited from now on.  `share`: fraction of the runnable time since the
  // last sample without a core.
  bool limits(double share);

 private:
  bool limited_ = false;
  int contended_ = 0;  // consecutive contended samples
  int calm_ = 0;
};

// Watches this process for its lifetime if it has several OpenMP threads (construct it once their number is
// settled) and neither GOMP_SPINCOUNT nor OMP_WAIT_POLICY is set.  If the kernel does not count waiting,
// spinning is always limited.  Starts no thread if there are more threads than cores, which libgomp handles
// itself.
class SpinLimit {
 public:
  SpinLimit();
  SpinLimit(const SpinLimit&) = delete;
  SpinLimit& operator=(const SpinLimit&) = delete;

 private:
  void watch(const std::stop_token& stop);

  int team_threads_ = 0;
  std::mutex mutex_;
  std::condition_variable_any wake_;
  std::jthread thread_;
};

}  // namespace ferry::worker
