// Keeps OpenMP threads from spinning where other processes want the cores.
//
// libgomp's threads spin for milliseconds at every barrier before they sleep.  Alone that is the fastest. Two
// runs on the same cores then wait for threads that have no core, and each takes many times its share.
// libgomp spins 100 rounds instead of 300,000 as long as its threads are more than the cores, which it looks
// at before each wait.  So where this process's threads often wait for a core, a second team is kept, which
// sleeps.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <optional>
#include <stop_token>
#include <thread>

namespace ferry::worker {

// Of all threads of a process, in ns: on a core, and ready but without one (/proc/PID/task/TID/schedstat).
struct CoreTimes {
  std::uint64_t on_core = 0;
  std::uint64_t waiting = 0;
};

// Of this process; std::nullopt where the kernel does not count.
std::optional<CoreTimes> core_times();

// When spinning is limited, from looks 100 ms apart.
class SpinRule {
 public:
  // Returns whether it is limited from now on.  `share`: of the time since the last look that the threads
  // could have run, that they had no core.
  bool limits(double share);

 private:
  bool limited_ = false;
  int contended_ = 0;  // looks in a row that said so
  int calm_ = 0;
};

// Watches this process for its life, if it has OpenMP threads that wait for each other (call it when their
// number is settled) and neither GOMP_SPINCOUNT nor OMP_WAIT_POLICY is set.  Where the kernel does not count
// waiting, spinning is always limited.  Starts no thread for more threads than cores, which libgomp limits
// by itself.
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
