#include "model/dit/exchange.h"

#include "parallel/exchange_gate.h"

namespace ferry::model {

namespace {

constexpr int kPasses = 3;    // that the host may be ahead before measurements are lost
constexpr int kBranches = 2;  // of a pass

int waits_of_branch(int layers) { return layers * 4 + 1; }

}  // namespace

HeadExchange::HeadExchange(const DitRuntime& runtime, int layers)
    : compute_(runtime.device->compute()),
      exchange_(runtime.exchange == nullptr ? compute_ : *runtime.exchange),
      group_(*runtime.ulysses),
      gate_(runtime.gate),
      trace_(runtime.trace),
      layers_(layers),
      waits_(*runtime.device, layers + 1, kPasses * kBranches * waits_of_branch(layers)) {
  for (Ties& ties : ties_) {
    ties.ready = runtime.device->make_event(EventKind::Order);
    ties.done = runtime.device->make_event(EventKind::Order);
  }
}

// The span begins when the exchange may: after its inputs, and after the chunk that the gate lets finish.
template <class Work>
void HeadExchange::queue(Trip trip, Work&& work) {
  const bool in_line = &exchange_ == &compute_;  // then computing waits for all of it
  compute_.record(*ties(trip).ready);
  exchange_.wait(*ties(trip).ready);
  {
    const parallel::GatedExchange gated(gate_, exchange_);
    const TraceScope span(trace_, Lane::Exchange, "exchange", exchange_, traced_index());
    if (in_line) waits_.begins(block_, compute_);
    work();
    if (in_line) waits_.ends(compute_);
  }
  exchange_.record(*ties(trip).done);
}

void HeadExchange::start(Trip trip, const at::Tensor& recv, const at::Tensor& send) {
  queue(trip, [&] {
    group_.all_to_all(recv.data_ptr(), send.data_ptr(),
                      send.nbytes() / static_cast<std::size_t>(group_.size()), exchange_);
  });
}

void HeadExchange::finish(Trip trip) {
  const TraceScope span(trace_, Lane::Compute, "wait for exchange", compute_, traced_index());
  waits_.begins(block_, compute_);
  compute_.wait(*ties(trip).done);
  waits_.ends(compute_);
}

void HeadExchange::gather(const at::Tensor& recv, const at::Tensor& send) {
  enter(layers_);
  queue(Trip::Back, [&] { group_.all_gather(recv.data_ptr(), send.data_ptr(), send.nbytes(), exchange_); });
  finish(Trip::Back);
}

}  // namespace ferry::model
