// Page-locks the node's copy for one rank on a thread of its own, beside passes once what comes first is
// done. It starts when the copy is filled: page-locking memory that nobody has touched makes its pages too,
// slowly, and keeps other threads out of the driver meanwhile.
#pragma once

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/device.h"
#include "offload/arena/pin_order.h"

namespace ferry::offload {

// What to page-lock, for whom.  What it points to outlives the Pinning.
struct PinPlan {
  Device* device = nullptr;
  std::string name{};  // in the warning
  std::byte* arena = nullptr;
  PinOrder order;
  std::byte* locks = nullptr;  // PinLocks::bytes() of the node's memory
  int fillers = 0;             // ranks that have to fill their part before
  double patience_s = 60;      // how long another rank may stay at one blob
};

// Begins when it is made.  Unlocks when it dies; registrations that are still to come are then left out.
class Pinning {
 public:
  explicit Pinning(PinPlan plan);
  ~Pinning();
  Pinning(const Pinning&) = delete;
  Pinning& operator=(const Pinning&) = delete;

  // Each waits until that is page-locked or the device has refused, and returns why, or nothing.  After a
  // refusal nothing more is page-locked; copies of the rest are right, and slow, of which the log warns.
  std::string wait_first();
  std::string wait_all();
  // Nothing more will be page-locked.
  bool over() const;
  // Stops at the next piece, and returns when the device is no longer asked for any; not for long, as others
  // of the node may wait.  Then goes on.
  void pause();
  void resume();
  // The time from when the copy is filled until then, waiting for other ranks included; 0: not yet, or
  // refused.
  double first_s() const;
  double all_s() const;

 private:
  void run() noexcept;
  void wait_filled();
  void pin(const std::vector<PinPiece>& pieces);
  void pin_piece(const PinPiece& piece);
  void wait_while_paused();
  void tell(double& seconds, bool over, const std::string& error = "");

  PinPlan plan_;
  PinLocks locks_;
  std::atomic<bool> stop_ = false;
  std::vector<void*> registered_;  // the thread's, until it is over
  Clock::time_point begin_;        // the thread's
  mutable std::mutex mutex_;       // of what follows
  std::condition_variable changed_;
  double first_s_ = 0;
  double all_s_ = 0;
  std::string error_;
  bool over_ = false;
  bool paused_ = false;
  bool at_rest_ = false;  // because it is paused, or the copy is not filled
  std::thread thread_;
};

}  // namespace ferry::offload
