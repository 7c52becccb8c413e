// The most host memory that this process had while something ran.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <stop_token>
#include <thread>

namespace ferry::worker {

// Looks at the process's proportional set size (shared pages divided by the processes that share them) when
// it starts, once a second, and when asked.  One look walks the page tables: milliseconds.
class MemoryWatch {
 public:
  MemoryWatch();

  // The largest value seen so far, now included.
  std::size_t peak_pss_bytes();

 private:
  void look();
  void watch(const std::stop_token& stop);

  std::mutex mutex_;
  std::condition_variable_any wake_;
  std::size_t peak_ = 0;
  std::jthread thread_;
};

}  // namespace ferry::worker
