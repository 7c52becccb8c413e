#include "base/cpu/event.h"

#include <algorithm>
#include <stdexcept>
#include <utility>

namespace ferry {

EventState::Record EventState::begin() {
  const std::lock_guard lock(mutex_);
  pending_.push_back(++latest_);
  return latest_;
}

void EventState::fire(Record record, std::exception_ptr error) {
  const std::lock_guard lock(mutex_);
  pending_.erase(std::find(pending_.begin(), pending_.end(), record));
  if (record == latest_) time_ = Clock::now();
  if (error != nullptr && error_ == nullptr) error_ = std::move(error);
  fired_.notify_all();
}

EventState::Record EventState::latest() const {
  const std::lock_guard lock(mutex_);
  return latest_;
}

bool EventState::pending(Record record) const {
  return std::find(pending_.begin(), pending_.end(), record) != pending_.end();
}

bool EventState::fired(Record record) const {
  const std::lock_guard lock(mutex_);
  return !pending(record);
}

std::exception_ptr EventState::wait(Record record) const {
  std::unique_lock lock(mutex_);
  fired_.wait(lock, [&] { return !pending(record); });
  return error_;
}

bool EventState::wait_until(Record record, Clock::time_point end) const {
  std::unique_lock lock(mutex_);
  return fired_.wait_until(lock, end, [&] { return !pending(record); });
}

Clock::time_point EventState::time() const {
  const std::lock_guard lock(mutex_);
  return time_;
}

void CpuEvent::synchronize() const {
  if (const std::exception_ptr error = state_->wait(state_->latest())) std::rethrow_exception(error);
}

bool CpuEvent::synchronize_until(Clock::time_point end) const {
  if (!wait_until(end)) return false;
  synchronize();
  return true;
}

double CpuEvent::ms_since(const Event& begin) const {
  const CpuEvent& from = as_cpu(begin);
  if (kind_ != EventKind::Timed || from.kind_ != EventKind::Timed) {
    throw std::invalid_argument("ms_since needs two events made as Timed");
  }
  if (state_->latest() == 0 || from.state_->latest() == 0 || !done() || !from.done()) {
    throw std::invalid_argument("ms_since needs two events that were recorded and are done");
  }
  return seconds_between(from.state_->time(), state_->time()) * 1e3;
}

const CpuEvent& as_cpu(const Event& event) {
  const auto* found = dynamic_cast<const CpuEvent*>(&event);
  if (found == nullptr) throw std::invalid_argument("an event of another device was given to a CPU stream");
  return *found;
}

}  // namespace ferry
