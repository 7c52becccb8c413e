// Page-locks the node's copy for one rank, on a thread of its own, while others fill it.
#pragma once

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "base/device.h"
#include "offload/pin_parts.h"

namespace ferry::offload {

// What to page-lock, for whom.  What it points to outlives the Pinning.
struct PinPlan {
  Device* device = nullptr;
  std::byte* arena = nullptr;
  std::vector<PinPart> parts;
  std::byte* locks = nullptr;  // PartLocks::bytes() of the node's memory
  int rank = 0;                // of as many as there are parts
  double patience_s = 60;      // how long another rank may stay at one part
};

// Begins when it is made.  Unlocks when it dies; registrations that are still to come are then left out.
class Pinning {
 public:
  explicit Pinning(PinPlan plan);
  ~Pinning();
  Pinning(const Pinning&) = delete;
  Pinning& operator=(const Pinning&) = delete;

  // Waits until all is page-locked or the device has refused.  Returns why, or nothing.
  std::string wait();
  // Unlocks everything.  After wait().
  void release() noexcept;
  // The time that registering took, waiting for other ranks included.  After wait().
  double seconds() const { return seconds_; }

 private:
  void run() noexcept;
  void pin_part(int part);
  PinPlan plan_;
  PartLocks locks_;
  std::atomic<bool> stop_ = false;
  std::vector<void*> registered_;
  std::string error_;
  double seconds_ = 0;
  std::thread thread_;
};

}  // namespace ferry::offload
