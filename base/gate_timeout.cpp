#include "base/gate_timeout.h"

#include "base/log.h"

namespace ferry {

GateTimeout::~GateTimeout() {
  {
    const std::lock_guard lock(mutex_);
    over_ = true;
  }
  ends_.notify_all();
  thread_.join();
  state_.store(kGateOpen);
}

// Polls once per kGateTimeout: a number seen by two polls in a row has been there that long.
void GateTimeout::watch() {
  std::uint32_t last = kGateOpen;
  std::unique_lock lock(mutex_);
  while (!ends_.wait_for(lock, kGateTimeout, [this] { return over_; })) {
    const std::uint32_t now = state_.load(std::memory_order_acquire);
    std::uint32_t stuck = now;
    const bool opened = now != kGateOpen && now == last && state_.compare_exchange_strong(stuck, kGateOpen);
    if (opened) spdlog::debug("a gate between streams was closed for too long, and opened");
    last = opened ? kGateOpen : now;
  }
}

}  // namespace ferry
