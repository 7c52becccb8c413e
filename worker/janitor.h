// Lets go of what takes long to let go of, while the run goes on.
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
  // Waits; exceptions that finish() has not thrown are logged.
  ~Janitor();

  // Does `work` on a thread of its own.  Where there is no thread to be had, now.
  void take(std::function<void()> work);
  // Destroys `thing` so.
  template <class T>
  void take(std::unique_ptr<T> thing) {
    take([kept = std::shared_ptr<T>(std::move(thing))]() mutable { kept.reset(); });
  }
  // Destroys `thing` so, but not before begin() or finish(): to unlock a page keeps other threads out of the
  // driver.
  template <class T>
  void keep(std::unique_ptr<T> thing) {
    kept_.push_back([kept = std::shared_ptr<T>(std::move(thing))]() mutable { kept.reset(); });
  }
  // Takes what was kept.
  void begin();
  // The same; waits for all that was taken.  Throws the first exception of it.
  void finish();

 private:
  std::vector<std::future<void>> works_;
  std::vector<std::function<void()>> kept_;
};

}  // namespace ferry::worker
