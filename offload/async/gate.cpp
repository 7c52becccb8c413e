#include "offload/async/gate.h"

#include <utility>

namespace ferry::offload {

void HostGate::before(Stream& exchange_stream) {
  exchange_stream.call([this] { begin_exchange(); });
}

void HostGate::after(Stream& exchange_stream) {
  exchange_stream.call([this] { end(); });
}

void HostGate::before_chunk(Stream& stream) {
  stream.call([this] { begin_chunk(); });
}

void HostGate::after_chunk(Stream& stream) {
  stream.call([this] { end(); });
}

void HostGate::begin_exchange() {
  std::unique_lock lock(mutex_);
  ++waiting_exchanges_;
  changed_.wait(lock, [this] { return !busy_; });
  --waiting_exchanges_;
  busy_ = true;
}

void HostGate::begin_chunk() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return !busy_ && waiting_exchanges_ == 0; });
  busy_ = true;
}

void HostGate::end() {
  {
    const std::lock_guard lock(mutex_);
    busy_ = false;
  }
  changed_.notify_all();
}

EventGate::EventGate(Device& device, std::vector<Stream*> weight_streams)
    : streams_(std::move(weight_streams)), exchange_done_(device.make_event(EventKind::Order)) {
  for (std::size_t i = 0; i < streams_.size(); ++i)
    chunks_done_.push_back(device.make_event(EventKind::Order));
}

void EventGate::before(Stream& exchange_stream) {
  for (std::size_t i = 0; i < streams_.size(); ++i) {
    streams_[i]->record(*chunks_done_[i]);
    exchange_stream.wait(*chunks_done_[i]);
  }
}

void EventGate::after(Stream& exchange_stream) {
  exchange_stream.record(*exchange_done_);
  for (Stream* stream : streams_) stream->wait(*exchange_done_);
}

}  // namespace ferry::offload
