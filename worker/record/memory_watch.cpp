#include "worker/record/memory_watch.h"

#include <algorithm>
#include <chrono>
#include <exception>

#include "base/host/memory_use.h"

namespace ferry::worker {

MemoryWatch::MemoryWatch() : thread_([this](const std::stop_token& stop) { watch(stop); }) {}

void MemoryWatch::set_shared(std::size_t bytes) {
  const std::scoped_lock lock(mutex_);
  shared_ = bytes;
}

std::size_t MemoryWatch::peak_bytes() {
  look();
  const std::scoped_lock lock(mutex_);
  return peak_;
}

void MemoryWatch::look() {
  const ProcessMemory now = process_memory();
  const std::scoped_lock lock(mutex_);
  peak_ = std::max(peak_, now.anon_bytes + now.file_bytes + shared_);
}

void MemoryWatch::watch(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    try {
      look();
    } catch (const std::exception&) {  // peak_bytes() samples again
    }
    std::unique_lock lock(mutex_);
    wake_.wait_for(lock, stop, std::chrono::seconds(1), [] { return false; });
  }
}

}  // namespace ferry::worker
