// The most host memory that this process had while something ran.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <stop_token>
#include <thread>

namespace ferry::worker {

// Looks at the process's own pages and those of files, as the kernel counts them, when it starts, once a
// second, and when asked; adds this process's part of what the node's ranks share.  A look takes
// microseconds: it walks no page tables, as the proportional set size would.
class MemoryWatch {
 public:
  MemoryWatch();

  // From now on this process has a part of so many bytes in memory that is shared.
  void set_shared(std::size_t bytes);
  // The largest value seen so far, now included.
  std::size_t peak_bytes();

 private:
  void look();
  void watch(const std::stop_token& stop);

  std::mutex mutex_;
  std::condition_variable_any wake_;
  std::size_t shared_ = 0;
  std::size_t peak_ = 0;
  std::jthread thread_;
};

}  // namespace ferry::worker
