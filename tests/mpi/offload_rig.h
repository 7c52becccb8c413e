// The toy network under a strategy, on all ranks of a test.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "offload/async/async.h"
#include "parallel/groups.h"
#include "tests/support/mpi_fixture.h"
#include "tests/unit/offload_counting.h"
#include "tests/unit/offload_toy.h"

namespace ferry::testing {

// All ranks as one Ulysses group.
inline parallel::Groups one_video(parallel::Session& ranks, Device& device,
                                  parallel::ExchangeBy by = parallel::ExchangeBy::Auto) {
  return parallel::make_groups(
      ranks, {.data = 1, .cfg = 1, .ulysses = ranks.size(), .ulysses_index = ranks.rank()}, device, by);
}

// All ranks of this test on one node, as one Ulysses group that exchanges in every block.
struct OffloadRig {
  ToyShape shape;
  ToyKept kept;             // with shape.q_once
  bool last_alone = false;  // the last rank has no others to share copies with
  std::unique_ptr<Device> cpu = make_cpu_device();
  CountingDevice device{*cpu};
  Stream& comm = device.counted(ranks().comm());
  parallel::ExchangeBy by = parallel::ExchangeBy::Auto;
  bool own_gather = false;  // gathers have a stream of their own, as on a GPU; with copies
  parallel::Groups groups = one_video(ranks(), *cpu, by);
  offload::DeviceAccount account;
  offload::NodeArena arena{offload::arena_plan(toy_spec(shape), ranks().node_size()),
                           offload::node_ranks(ranks())};
  std::unique_ptr<offload::StageWeights> stage;
  std::vector<std::byte> send = std::vector<std::byte>(1 << 16);
  std::vector<std::byte> recv = std::vector<std::byte>(1 << 16);
  std::unique_ptr<Event> done = device.make_event(EventKind::Order);
  Trace trace{device};
  std::function<double()> compute_ms{};  // what a block computes for beside the toy's own; may be empty

  explicit OffloadRig(const offload::Options& options, const ToyShape& shape = {}, bool last_alone = false)
      : shape(shape), last_alone(last_alone) {
    arena.load(toy_source(), 1, {});
    stage = stage_over(arena, options, setup());
  }
  // The way of a GPU: order by events.
  OffloadRig(const offload::Options& options, offload::AsyncPlan plan,
             parallel::ExchangeBy by = parallel::ExchangeBy::Auto, bool own_gather = false,
             const ToyShape& shape = {})
      : shape(shape), by(by), own_gather(own_gather) {
    arena.load(toy_source(), 1, {});
    const offload::StagePlan of = plan_over(arena, options);
    stage = std::make_unique<offload::StageWeights>(
        arena, of, setup(), std::make_unique<offload::Async>(arena, of, setup(), std::move(plan)));
  }
  offload::StageSetup setup() {
    const bool alone = last_alone && ranks().rank() == ranks().size() - 1;
    return {.device = &device,
            .account = &account,
            .peers = parallel::world_peers(ranks()),
            .copy_sharers = alone ? nullptr : groups.copy_sharers.get(),
            .gather_stream = own_gather ? nullptr : &comm,
            .poison = true,
            .trace = &trace};
  }
  std::vector<at::Tensor> forward(int branches) {
    return toy_forward(
        *stage, branches, [this](int) { exchange(); }, shape.q_once ? &kept : nullptr);
  }
  void exchange() {
    if (compute_ms) std::this_thread::sleep_for(std::chrono::duration<double, std::milli>(compute_ms() / 2));
    parallel::gated_exchange(stage->exchange_gate(), comm, [&] {
      const TraceScope span(&trace, Lane::Exchange, "exchange", comm);
      const std::size_t bytes = send.size() / static_cast<std::size_t>(groups.ulysses->size());
      groups.ulysses->all_to_all(recv.data(), send.data(), bytes, comm);
    });
    comm.record(*done);
    device.compute().wait(*done);
  }
};

}  // namespace ferry::testing
