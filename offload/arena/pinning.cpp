#include "offload/arena/pinning.h"

#include <fmt/format.h>

#include <chrono>
#include <utility>

#include "base/error.h"
#include "base/log.h"

namespace ferry::offload {

namespace {

constexpr auto kBetweenFillChecks = std::chrono::milliseconds(1);

}  // namespace

Pinning::Pinning(PinPlan plan) : plan_(std::move(plan)), locks_(plan_.locks) {
  locks_.begin();
  thread_ = std::thread([this] { run(); });
}

Pinning::~Pinning() {
  stop_ = true;
  resume();
  thread_.join();
  for (void* piece : registered_) plan_.device->unpin(piece);
}

std::string Pinning::wait_first() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return first_s_ > 0 || over_; });
  return first_s_ > 0 ? "" : error_;
}

std::string Pinning::wait_all() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return over_; });
  return error_;
}

bool Pinning::over() const {
  const std::lock_guard lock(mutex_);
  return over_;
}

void Pinning::pause() {
  std::unique_lock lock(mutex_);
  paused_ = true;
  changed_.wait(lock, [&] { return at_rest_ || over_; });
}

void Pinning::resume() {
  const std::lock_guard lock(mutex_);
  paused_ = false;
  changed_.notify_all();
}

void Pinning::wait_filled() {
  {
    const std::lock_guard lock(mutex_);
    at_rest_ = true;
    changed_.notify_all();
  }
  while (!stop_ && !locks_.filled_by(plan_.fillers)) std::this_thread::sleep_for(kBetweenFillChecks);
  begin_ = Clock::now();
}

void Pinning::wait_while_paused() {
  std::unique_lock lock(mutex_);
  at_rest_ = paused_;
  changed_.notify_all();
  changed_.wait(lock, [&] { return !paused_; });
  at_rest_ = false;
}

double Pinning::first_s() const {
  const std::lock_guard lock(mutex_);
  return first_s_;
}

double Pinning::all_s() const {
  const std::lock_guard lock(mutex_);
  return all_s_;
}

void Pinning::tell(double& seconds, bool over, const std::string& error) {
  if (over) locks_.end();
  const std::lock_guard lock(mutex_);
  if (error.empty()) seconds = seconds_since(begin_);
  error_ = error;
  over_ = over;
  changed_.notify_all();
}

void Pinning::run() noexcept {
  try {
    wait_filled();
    pin(plan_.order.first);
    tell(first_s_, false);
    pin(plan_.order.rest);
    tell(all_s_, true);
  } catch (const std::exception& failed) {
    if (first_s() > 0 && !stop_) {
      spdlog::warn("{}: not all weights can be page-locked, copies of some will be slow ({})", plan_.name,
                   failed.what());
    }
    tell(all_s_, true, failed.what());
  }
}

void Pinning::pin(const std::vector<PinPiece>& pieces) {
  for (const PinPiece& piece : pieces) {
    wait_while_paused();
    if (stop_) throw Error("page-locking was broken off");
    pin_piece(piece);
  }
}

void Pinning::pin_piece(const PinPiece& piece) {
  const Clock::time_point begin = Clock::now();
  const auto given_up = [&] { return stop_ || seconds_since(begin) > plan_.patience_s; };
  if (!locks_.take(piece.lock, given_up)) {
    throw Error(fmt::format("another rank has not finished blob {}", piece.lock));
  }
  std::byte* data = plan_.arena + piece.offset;
  try {
    plan_.device->pin(data, piece.bytes);
  } catch (...) {
    locks_.give(piece.lock);
    throw;
  }
  locks_.give(piece.lock);
  registered_.push_back(data);
  if (plan_.at_work) plan_.at_work();
}

}  // namespace ferry::offload
