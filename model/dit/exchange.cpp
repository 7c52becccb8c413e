#include "model/dit/exchange.h"

#include "parallel/exchange_gate.h"

namespace ferry::model {

HeadExchange::HeadExchange(const DitRuntime& runtime)
    : compute_(runtime.device->compute()),
      exchange_(runtime.exchange == nullptr ? compute_ : *runtime.exchange),
      group_(*runtime.ulysses),
      gate_(runtime.gate) {
  for (Ties& ties : ties_) {
    ties.ready = runtime.device->make_event(EventKind::Order);
    ties.done = runtime.device->make_event(EventKind::Order);
  }
}

void HeadExchange::start(Trip trip, const at::Tensor& recv, const at::Tensor& send) {
  const Ties& ties = ties_.at(static_cast<std::size_t>(trip));
  compute_.record(*ties.ready);
  exchange_.wait(*ties.ready);
  {
    const parallel::GatedExchange gated(gate_, exchange_);
    group_.all_to_all(recv.data_ptr(), send.data_ptr(),
                      send.nbytes() / static_cast<std::size_t>(group_.size()), exchange_);
  }
  exchange_.record(*ties.done);
}

void HeadExchange::finish(Trip trip) { compute_.wait(*ties_.at(static_cast<std::size_t>(trip)).done); }

void HeadExchange::gather(const at::Tensor& recv, const at::Tensor& send) {
  const Ties& ties = ties_.at(static_cast<std::size_t>(Trip::Back));
  compute_.record(*ties.ready);
  exchange_.wait(*ties.ready);
  {
    const parallel::GatedExchange gated(gate_, exchange_);
    group_.all_gather(recv.data_ptr(), send.data_ptr(), send.nbytes(), exchange_);
  }
  exchange_.record(*ties.done);
  compute_.wait(*ties.done);
}

}  // namespace ferry::model
