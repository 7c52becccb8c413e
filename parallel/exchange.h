// The Ulysses exchange of one rank: all-to-alls on a separate stream, ordered with the compute stream by
// events created once.  Measures how long the compute stream waits for them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/device.h"
#include "base/stream_timer.h"
#include "base/trace.h"
#include "parallel/exchange_gate.h"
#include "parallel/group.h"
#include "parallel/ulysses.h"

namespace ferry::parallel {

class Ticks;

// Data exchanged; at most one exchange of each is in flight per branch.
enum class ExchangeSlot : int { Value, Query, Key, Back };

// What an exchange works with; all of it outlives the HeadExchange.
struct ExchangeSetup {
  Device* device = nullptr;
  Group* group = nullptr;        // the ranks of one sequence
  Stream* stream = nullptr;      // of the exchanges; nullptr: the compute stream
  ExchangeGate* gate = nullptr;  // notified around each exchange; nullptr: none
  Trace* trace = nullptr;        // nullptr: no trace
  Ticks* ticks = nullptr;        // nullptr: nobody watches
};

class HeadExchange {
 public:
  // For attention of `heads` heads in each of `layers` blocks.
  // Throws std::invalid_argument for more ranks than heads, and without a device or a group.
  HeadExchange(const ExchangeSetup& setup, std::int64_t heads, int layers);

  // Call at the start of each forward.
  void begin_pass(std::size_t branches);
  // The exchanges until the next call belong to this block.
  void enter(int block) { block_ = block; }

  // Announces exchanges in close succession to the gate, so that weight copies make room for them.
  void soon(int exchanges) {
    if (gate_ != nullptr) gate_->soon(compute_, exchanges);
  }

  // Queues an exchange behind what is queued on the compute stream so far; returns at once.  Tokens go to the
  // ranks of their heads, `send` [s, H, D] packed and `recv` [S, this rank's heads, D] (parallel/ulysses.h);
  // ExchangeSlot::Back takes them the other way, but for this rank's own.  Queries, and what goes back, have
  // this rank's own tokens last (parallel/pieces.h, own_last); keys and values lie in the order of tokens.
  // `token_bytes` are those of this rank's tokens with all heads, [s, H, D].
  // Neither place may be written until finish(slot, branch).
  void start(ExchangeSlot slot, std::size_t branch, void* recv, const void* send, std::size_t token_bytes);

  // Orders later work of the compute stream after the exchange.
  void finish(ExchangeSlot slot, std::size_t branch);

  // After the last block: `recv` on every rank becomes the ranks' `send`, of `bytes` each, one after the
  // other, ordered with the compute stream on both sides.
  void gather(void* recv, const void* send, std::size_t bytes);

  // Waits of the compute stream, by block, then for gathers.  Not during a forward.
  StreamTimes waits() { return waits_.times(); }

 private:
  struct ExchangeEvents {
    std::unique_ptr<Event> ready;  // compute stream: `send` is written, `recv` is free
    std::unique_ptr<Event> done;   // exchange stream
  };

  const ExchangeEvents& events(ExchangeSlot slot, std::size_t branch) const {
    return events_[branch * kSlots + static_cast<std::size_t>(slot)];
  }
  int traced_index() const { return block_ == layers_ ? -1 : block_; }
  template <class Work>
  void queue(const ExchangeEvents& events, Work&& work);
  void finish(const ExchangeEvents& events);

  static constexpr std::size_t kSlots = 4;

  Device& device_;
  Stream& compute_;
  Stream& exchange_stream_;
  Group& group_;
  ExchangeGate* gate_;
  Trace* trace_;
  Ticks* ticks_;
  HeadSplit split_;
  int layers_;
  int block_ = 0;  // layers_: the gather of the result
  StreamTimer waits_;
  std::vector<ExchangeEvents> events_;  // by branch, then slot
};

}  // namespace ferry::parallel
