// Threads for work on the arena in which all ranks of a node take part at the same time.
#pragma once

#include <algorithm>
#include <thread>

namespace ferry::offload {

// For each of `ranks`: its share of the cores, from 1 to 8.
inline int host_threads(int ranks) {
  constexpr int kMost = 8;
  return std::clamp(static_cast<int>(std::thread::hardware_concurrency()) / ranks, 1, kMost);
}

}  // namespace ferry::offload
