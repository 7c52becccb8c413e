// Host memory of weights on this rank's node.
#pragma once

#include <atomic>
#include <cstddef>
#include <utility>

namespace ferry::worker {

// Counts existing arenas, including those being freed by a thread.
class HostAccount {
 public:
  // Counts `bytes` for its lifetime; the account must outlive it.
  class Share {
   public:
    Share() = default;
    Share(HostAccount& account, std::size_t bytes) : account_(&account), bytes_(bytes) { account.add(bytes); }
    Share(Share&& other) noexcept : account_(std::exchange(other.account_, nullptr)), bytes_(other.bytes_) {}
    Share& operator=(Share&& other) noexcept {
      std::swap(account_, other.account_);
      std::swap(bytes_, other.bytes_);
      return *this;
    }
    ~Share() {
      if (account_ != nullptr) account_->now_ -= bytes_;
    }

   private:
    HostAccount* account_ = nullptr;
    std::size_t bytes_ = 0;
  };

  std::size_t now() const { return now_; }
  // Peak since the last reset_peak().
  std::size_t peak() const { return peak_; }
  void reset_peak() { peak_ = now_.load(); }

 private:
  // Called by one thread; any thread may release.
  void add(std::size_t bytes) {
    const std::size_t now = now_ += bytes;
    if (now > peak_) peak_ = now;
  }
  std::atomic<std::size_t> now_ = 0;
  std::atomic<std::size_t> peak_ = 0;
};

}  // namespace ferry::worker
