// Events of the CPU device.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <vector>

#include "base/clock.h"
#include "base/device.h"

namespace ferry {

// State shared by an Event and the queues that have yet to fire it.  Records are numbered upwards; a wait
// names the record it is bound to, so a record that fires late never satisfies a wait for a newer one.
class EventState {
 public:
  using Record = std::uint64_t;

  // Opens a record; the caller fires it later, once.
  Record begin();
  void fire(Record record, std::exception_ptr error);
  // The latest record; 0 if there is none, which counts as fired.
  Record latest() const;
  bool fired(Record record) const;
  // Blocks until `record` has fired; returns the first error of any record, or nullptr.
  std::exception_ptr wait(Record record) const;
  // As above with a time limit; returns false if `record` had not fired by `end`. Ignores errors.
  bool wait_until(Record record, Clock::time_point end) const;
  Clock::time_point time() const;  // at which the latest record fired

 private:
  bool pending(Record record) const;  // mutex_ held

  mutable std::mutex mutex_;
  mutable std::condition_variable fired_;
  Record latest_ = 0;
  std::vector<Record> pending_;
  std::exception_ptr error_;
  Clock::time_point time_;
};

class CpuEvent final : public Event {
 public:
  explicit CpuEvent(EventKind kind) : kind_(kind), state_(std::make_shared<EventState>()) {}
  bool done() const override { return state_->fired(state_->latest()); }
  void synchronize() const override;
  // Blocks until done() or `end`; returns false if it was not done by then.
  bool wait_until(Clock::time_point end) const { return state_->wait_until(state_->latest(), end); }
  // synchronize() with a time limit; returns false if it was not done by `end`.
  bool synchronize_until(Clock::time_point end) const;
  double ms_since(const Event& begin) const override;
  void* native() const override { return nullptr; }
  const std::shared_ptr<EventState>& state() const { return state_; }

 private:
  EventKind kind_;
  std::shared_ptr<EventState> state_;
};

// Throws std::invalid_argument if `event` belongs to another kind of device.
const CpuEvent& as_cpu(const Event& event);

}  // namespace ferry
