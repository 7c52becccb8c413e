// The Ulysses exchange of one rank: all-to-alls on a stream of their own, tied to the compute stream by
// events that are made once.  It measures how long the compute stream waits for them.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <memory>
#include <vector>

#include "base/device.h"
#include "model/dit/dit.h"
#include "parallel/exchange_gate.h"
#include "parallel/ulysses.h"

namespace ferry::model {

// What is exchanged; of each one exchange at a time is in flight, per branch.
enum class ExchangeSlot : int { Value, Query, Key, Back };

class HeadExchange {
 public:
  // What `runtime` points to outlives this; runtime.ulysses is not nullptr.
  // Throws std::invalid_argument for more ranks than heads.
  HeadExchange(const DitRuntime& runtime, const DitConfig& config);

  // At the start of each forward.
  void begin_pass(std::size_t branches);
  // The exchanges up to the next call are this block's.
  void enter(int block) { block_ = block; }

  // Announces to the gate exchanges that follow closely, so that copies of weights make room for them.
  void soon(int exchanges) {
    if (gate_ != nullptr) gate_->soon(compute_, exchanges);
  }

  // Queues an exchange behind what is queued on the compute stream so far; returns at once.  Tokens go to the
  // ranks of their heads, `send` [s, C] packed and `recv` [S, this rank's heads * D] (parallel/ulysses.h);
  // ExchangeSlot::Back takes them the other way, but for this rank's own.  Queries, and what goes back, have
  // this rank's own tokens last (parallel/pieces.h, own_last); keys and values lie in the order of tokens.
  // Neither tensor may be written until finish(slot, branch).
  void start(ExchangeSlot slot, std::size_t branch, const at::Tensor& recv, const at::Tensor& send);

  // What is queued on the compute stream from now on comes after the exchange.
  void finish(ExchangeSlot slot, std::size_t branch);

  // After the last block: recv [P * rows, ...] on every rank becomes the ranks' `send` [rows, ...] one after
  // the other, ordered with the compute stream on both sides.
  void gather(const at::Tensor& recv, const at::Tensor& send);

  // Of the compute stream, by block, and last for gathers.  Not in a forward.
  StreamTimes waits() { return waits_.times(); }

 private:
  struct ExchangeEvents {
    std::unique_ptr<Event> ready;  // on the compute stream: `send` is written, `recv` is free
    std::unique_ptr<Event> done;   // on the exchange stream
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
  parallel::Group& group_;
  parallel::ExchangeGate* gate_;
  Trace* trace_;
  parallel::HeadSplit split_;
  int layers_;
  int block_ = 0;  // layers_: the gather of the result
  StreamTimer waits_;
  std::vector<ExchangeEvents> events_;  // by slot those of branch 0, those of branch 1, ...
};

}  // namespace ferry::model
