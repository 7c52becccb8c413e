// Peak host memory of this process over a period.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <stop_token>
#include <thread>

namespace ferry::worker {

// Samples the process's own and file-backed pages, as counted by the kernel, at construction, once per
// second, and on request; adds this process's part of the node's shared memory.  A sample takes microseconds:
// unlike the proportional set size it walks no page tables.
class MemoryWatch {
 public:
  MemoryWatch();

  // Sets this process's part of shared memory, in bytes, from now on.
  void set_shared(std::size_t bytes);
  // The maximum so far, including a sample taken now.
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
