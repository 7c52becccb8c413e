#include "parallel/exchange.h"

#include <stdexcept>

#include "parallel/watch/ticks.h"

namespace ferry::parallel {

namespace {

constexpr int kPasses = 3;    // passes by which the host may be ahead before measurements are lost
constexpr int kBranches = 2;  // per pass

void say(Ticks* ticks, Stage stage) {
  if (ticks != nullptr) ticks->within(stage);
}

int waits_of_branch(int layers) { return layers * 4 + 1; }

Device& device_of(const ExchangeSetup& setup) {
  if (setup.device != nullptr && setup.group != nullptr) return *setup.device;
  throw std::invalid_argument("HeadExchange: it needs a device and a group");
}

}  // namespace

HeadExchange::HeadExchange(const ExchangeSetup& setup, std::int64_t heads, int layers)
    : device_(device_of(setup)),
      compute_(device_.compute()),
      exchange_stream_(setup.stream == nullptr ? compute_ : *setup.stream),
      group_(*setup.group),
      gate_(setup.gate),
      trace_(setup.trace),
      ticks_(setup.ticks),
      split_(heads, group_.size()),
      layers_(layers),
      waits_(device_, layers_ + 1, kPasses * kBranches * waits_of_branch(layers_)) {}

void HeadExchange::begin_pass(std::size_t branches) {
  waits_.begin_pass();
  while (events_.size() < branches * kSlots) {
    events_.push_back({device_.make_event(EventKind::Order), device_.make_event(EventKind::Order)});
  }
}

// The span starts when the exchange may: after its inputs, and after the chunk that the gate lets finish.
template <class Work>
void HeadExchange::queue(const ExchangeEvents& events, Work&& work) {
  const bool in_line = &exchange_stream_ == &compute_;  // then compute waits for all of it
  compute_.record(*events.ready);
  exchange_stream_.wait(*events.ready);
  gated_exchange(gate_, exchange_stream_, [&] {
    {
      const TraceScope span(trace_, Lane::Exchange, "exchange", exchange_stream_, traced_index());
      if (in_line) waits_.begins(block_, compute_);
      work();
      if (in_line) waits_.ends(compute_);
    }
    // Before the gate's after(), which may queue other work here, as gathers that wait for weights.
    exchange_stream_.record(*events.done);
  });
}

void HeadExchange::finish(const ExchangeEvents& events) {
  const TraceScope span(trace_, Lane::Compute, "wait for exchange", compute_, traced_index());
  waits_.begins(block_, compute_);
  compute_.wait(*events.done);
  waits_.ends(compute_);
}

void HeadExchange::start(ExchangeSlot slot, std::size_t branch, void* recv, const void* send,
                         std::size_t token_bytes) {
  const bool back = slot == ExchangeSlot::Back;
  const std::size_t head_bytes = token_bytes / static_cast<std::size_t>(split_.heads());
  Pieces pieces = back ? split_.to_tokens(head_bytes) : split_.to_heads(head_bytes);
  if (back || slot == ExchangeSlot::Query) pieces = pieces.own_last(split_.ranks());
  if (back) pieces = pieces.without_own();
  say(ticks_, Stage::Exchange);
  queue(events(slot, branch), [&] { group_.all_to_all(recv, send, pieces, exchange_stream_); });
  say(ticks_, Stage::Denoise);
}

void HeadExchange::finish(ExchangeSlot slot, std::size_t branch) {
  say(ticks_, Stage::Exchange);
  finish(events(slot, branch));
  say(ticks_, Stage::Denoise);
}

void HeadExchange::gather(void* recv, const void* send, std::size_t bytes) {
  enter(layers_);
  const ExchangeEvents& result = events(ExchangeSlot::Back, 0);
  say(ticks_, Stage::Gather);
  queue(result, [&] { group_.all_gather(recv, send, bytes, exchange_stream_); });
  finish(result);
  say(ticks_, Stage::Denoise);
}

}  // namespace ferry::parallel
