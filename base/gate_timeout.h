// Opens a gate (stream_gate.h) that was closed for too long.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>

#include "base/stream_gate.h"

namespace ferry {

// Closing a gate writes the next number; opening it writes 0.
using GateState = std::atomic<std::uint32_t>;
inline constexpr std::uint32_t kGateOpen = 0;

// Opens the gate once its state has kept one nonzero value for kGateTimeout, from a thread of its own that
// never calls the device.
class GateTimeout {
 public:
  // `state` must outlive this object.
  explicit GateTimeout(GateState& state) : state_(state), thread_([this] { watch(); }) {}
  ~GateTimeout();
  GateTimeout(const GateTimeout&) = delete;
  GateTimeout& operator=(const GateTimeout&) = delete;

 private:
  void watch();
  GateState& state_;
  std::mutex mutex_;
  std::condition_variable ends_;
  bool over_ = false;
  std::thread thread_;
};

}  // namespace ferry
