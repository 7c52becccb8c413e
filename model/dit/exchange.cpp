#include "model/dit/exchange.h"

namespace ferry::model {

namespace {

constexpr int kPasses = 3;    // that the host may be ahead before measurements are lost
constexpr int kBranches = 2;  // of a pass

int waits_of_branch(int layers) { return layers * 4 + 1; }

}  // namespace

HeadExchange::HeadExchange(const DitRuntime& runtime, const DitConfig& config)
    : device_(*runtime.device),
      compute_(runtime.device->compute()),
      exchange_stream_(runtime.exchange_stream == nullptr ? compute_ : *runtime.exchange_stream),
      group_(*runtime.ulysses),
      gate_(runtime.gate),
      trace_(runtime.trace),
      split_(config.heads, group_.size()),
      layers_(static_cast<int>(config.layers)),
      waits_(*runtime.device, layers_ + 1, kPasses * kBranches * waits_of_branch(layers_)) {}

void HeadExchange::begin_pass(std::size_t branches) {
  waits_.begin_pass();
  while (events_.size() < branches * kSlots) {
    events_.push_back({device_.make_event(EventKind::Order), device_.make_event(EventKind::Order)});
  }
}

// The span begins when the exchange may: after its inputs, and after the chunk that the gate lets finish.
template <class Work>
void HeadExchange::queue(const ExchangeEvents& events, Work&& work) {
  const bool in_line = &exchange_stream_ == &compute_;  // then computing waits for all of it
  compute_.record(*events.ready);
  exchange_stream_.wait(*events.ready);
  parallel::gated_exchange(gate_, exchange_stream_, [&] {
    const TraceScope span(trace_, Lane::Exchange, "exchange", exchange_stream_, traced_index());
    if (in_line) waits_.begins(block_, compute_);
    work();
    if (in_line) waits_.ends(compute_);
  });
  exchange_stream_.record(*events.done);
}

void HeadExchange::finish(const ExchangeEvents& events) {
  const TraceScope span(trace_, Lane::Compute, "wait for exchange", compute_, traced_index());
  waits_.begins(block_, compute_);
  compute_.wait(*events.done);
  waits_.ends(compute_);
}

void HeadExchange::start(ExchangeSlot slot, std::size_t branch, const at::Tensor& recv,
                         const at::Tensor& send) {
  const bool back = slot == ExchangeSlot::Back;
  const std::size_t head_bytes = (back ? recv : send).nbytes() / static_cast<std::size_t>(split_.heads());
  parallel::Pieces pieces = back ? split_.to_tokens(head_bytes) : split_.to_heads(head_bytes);
  if (back || slot == ExchangeSlot::Query) pieces = pieces.own_last(split_.ranks());
  if (back) pieces = pieces.without_own();
  queue(events(slot, branch),
        [&] { group_.all_to_all(recv.data_ptr(), send.data_ptr(), pieces, exchange_stream_); });
}

void HeadExchange::finish(ExchangeSlot slot, std::size_t branch) { finish(events(slot, branch)); }

void HeadExchange::gather(const at::Tensor& recv, const at::Tensor& send) {
  enter(layers_);
  const ExchangeEvents& result = events(ExchangeSlot::Back, 0);
  queue(result,
        [&] { group_.all_gather(recv.data_ptr(), send.data_ptr(), send.nbytes(), exchange_stream_); });
  finish(result);
}

}  // namespace ferry::model
