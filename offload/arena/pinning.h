// Page-locks the node's copy for one rank on a thread of its own, concurrently with passes once the first
// part is done. It starts when the copy is filled: page-locking untouched memory also allocates its pages,
// slowly, and blocks other threads from the driver meanwhile.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/device.h"
#include "offload/arena/pin_order.h"

namespace ferry::offload {

// Parameters.  Everything it points to must outlive the Pinning.
struct PinPlan {
  Device* device = nullptr;
  std::string name{};  // for the warning
  std::byte* arena = nullptr;
  PinOrder order;
  std::byte* locks = nullptr;       // PinLocks::bytes() of the node's memory
  int fillers = 0;                  // ranks that must fill their part first
  std::function<void()> at_work{};  // optional; called for each piece
  double patience_s = 60;           // limit of another rank's time in one blob
};

// Starts on construction.  The destructor unlocks; pending registrations are skipped.
class Pinning {
 public:
  explicit Pinning(PinPlan plan);
  ~Pinning();
  Pinning(const Pinning&) = delete;
  Pinning& operator=(const Pinning&) = delete;

  // Wait until that part is page-locked or the device has refused; return the error, or an empty string.
  // After a refusal nothing more is page-locked; copies of the rest are correct but slow, which is logged as
  // a warning.
  std::string wait_first();
  std::string wait_all();
  // True if no more will be page-locked.
  bool over() const;
  // pause() stops at the next piece and returns once no registration is in progress; keep it short, as other
  // ranks of the node may wait. resume() continues.
  void pause();
  void resume();
  // Seconds from when the copy was filled until then, including waits for other ranks; 0: not yet, or
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
  std::vector<void*> registered_;  // used by the thread until it has finished
  Clock::time_point begin_;        // used by the thread
  mutable std::mutex mutex_;       // guards the members below
  std::condition_variable changed_;
  double first_s_ = 0;
  double all_s_ = 0;
  std::string error_;
  bool over_ = false;
  bool paused_ = false;
  bool at_rest_ = false;  // paused, or the copy is not filled
  std::thread thread_;
};

}  // namespace ferry::offload
