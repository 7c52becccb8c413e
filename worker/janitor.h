// Frees resources in the background if freeing is slow.
#pragma once

#include <functional>
#include <future>
#include <memory>
#include <vector>

namespace ferry::worker {

class Janitor {
 public:
  Janitor() = default;
  Janitor(const Janitor&) = delete;
  Janitor& operator=(const Janitor&) = delete;
  // Waits; logs exceptions that finish() has not thrown.
  ~Janitor();

  // Runs `work` on a thread of its own, or at once if no thread can be started.
  void take(std::function<void()> work);
  // As above: destroys `thing`.
  template <class T>
  void take(std::unique_ptr<T> thing) {
    take([kept = std::shared_ptr<T>(std::move(thing))]() mutable { kept.reset(); });
  }
  // As above, but not before begin() or finish(): unlocking pages blocks other threads from the driver.
  template <class T>
  void keep(std::unique_ptr<T> thing) {
    kept_.push_back([kept = std::shared_ptr<T>(std::move(thing))]() mutable { kept.reset(); });
  }
  // Starts everything passed to keep().
  void begin();
  // As above, and waits for all work.  Throws its first exception.
  void finish();

 private:
  std::vector<std::future<void>> works_;
  std::vector<std::function<void()>> kept_;
};

}  // namespace ferry::worker
