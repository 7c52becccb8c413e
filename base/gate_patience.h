// What opens a gate (stream_gate.h) that stays closed.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>

#include "base/stream_gate.h"

namespace ferry {

// Who closes a gate writes the next number into its state, who opens it 0.
using GateState = std::atomic<std::uint32_t>;
inline constexpr std::uint32_t kGateOpen = 0;

// Writes kGateOpen into a state that has been at another number for kGatePatience, from a thread of its own
// that calls nothing of the device.
class GatePatience {
 public:
  // `state` outlives this.
  explicit GatePatience(GateState& state) : state_(state), thread_([this] { watch(); }) {}
  ~GatePatience();
  GatePatience(const GatePatience&) = delete;
  GatePatience& operator=(const GatePatience&) = delete;

 private:
  void watch();
  GateState& state_;
  std::mutex mutex_;
  std::condition_variable ends_;
  bool over_ = false;
  std::thread thread_;
};

}  // namespace ferry
