// Keeps weight chunks and activation exchanges off the link at the same time (interleave = gated).
//
// Both kinds only queue work and do not block the host.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <vector>

#include "base/device.h"
#include "offload/transport/link.h"
#include "parallel/exchange_gate.h"

namespace ferry::offload {

// On the CPU every stream is a thread, so chunks and exchanges take turns at run time: an exchange waits for
// the chunk in flight, the next chunk for the exchange.
class HostGate final : public parallel::ExchangeGate, public ChunkGuard {
 public:
  void before(Stream& exchange_stream) override;
  void after(Stream& exchange_stream) override;
  void before_chunk(Stream& stream) override;
  void after_chunk(Stream& stream) override;

 private:
  void begin_exchange();
  void begin_chunk();
  void end();
  std::mutex mutex_;
  std::condition_variable changed_;
  int waiting_exchanges_ = 0;  // they take precedence over chunks
  bool busy_ = false;
};

// On a GPU the order is fixed when work is queued, by events created once: an exchange waits for the chunks
// queued before it, and chunks queued later wait for the exchange.
class EventGate final : public parallel::ExchangeGate {
 public:
  // `weight_streams` carry the chunks and must outlive this object.
  EventGate(Device& device, std::vector<Stream*> weight_streams);
  void before(Stream& exchange_stream) override;
  void after(Stream& exchange_stream) override;

 private:
  std::vector<Stream*> streams_;
  std::vector<std::unique_ptr<Event>> chunks_done_;  // one per stream
  std::unique_ptr<Event> exchange_done_;
};

}  // namespace ferry::offload
