// Threads per rank for work on the arena that all ranks of a node do concurrently.
#pragma once

#include <algorithm>
#include <thread>

namespace ferry::offload {

// Per rank: its share of the cores, from 1 to 8.
inline int host_threads(int ranks) {
  constexpr int kMost = 8;
  return std::clamp(static_cast<int>(std::thread::hardware_concurrency()) / ranks, 1, kMost);
}

}  // namespace ferry::offload
