#include <fmt/format.h>

#include "base/error.h"
#include "base/log.h"
#include "offload/async.h"
#include "offload/link_test.h"
#include "offload/none.h"

namespace ferry::offload {

namespace {

int weight_ranks(const StageSetup& setup) { return setup.weights == nullptr ? 1 : setup.weights->size(); }

// A gather takes equal shares of every block.
bool divides(const NodeArena& arena, int ranks) {
  for (const BlockPlace& block : arena.layout().blocks) {
    if (block.blob.bytes % (static_cast<std::size_t>(ranks) * kTensorAlign) != 0) return false;
  }
  return true;
}

// Every rank that runs the stage has a peer on its node.
bool all_have_peers(const StageSetup& setup) {
  const bool mine = weight_ranks(setup) > 1;
  return first_error(setup.peers, mine ? "" : "alone").empty();
}

// What is Auto is measured, the rest taken; without peers on the node there is nothing to choose.
void choose_links(AsyncPlan& plan, NodeArena& arena, const Options& options, const StageSetup& setup) {
  const int ranks = weight_ranks(setup);
  plan.transport = options.transport;
  plan.interleave = options.interleave;
  const bool open = plan.transport == Transport::Auto || plan.interleave == Interleave::Auto;
  if (open && all_have_peers(setup)) {
    const LinkFigures figures = measure_links(arena, options, setup);
    if (plan.transport == Transport::Auto) plan.transport = choose_transport(figures, ranks);
    if (plan.interleave == Interleave::Auto) plan.interleave = choose_interleave(figures);
    if (setup.peers.rank == 0) {
      spdlog::info("{}: {}; transport {}, interleave {}", arena.spec().name, to_text(figures),
                   name_of(plan.transport), name_of(plan.interleave));
    }
  }
  if (plan.transport == Transport::Auto || ranks == 1 || !divides(arena, ranks))
    plan.transport = Transport::Full;
  if (plan.interleave == Interleave::Auto) plan.interleave = Interleave::Free;
}

}  // namespace

std::unique_ptr<Strategy> make_async(NodeArena& arena, const Options& options, const StageSetup& setup) {
  const auto layers = static_cast<int>(arena.spec().blocks.size());
  if (layers == 0) return make_none(arena, options, setup);
  AsyncPlan plan{.residency = plan_residency(arena.spec().name, layers, options)};
  if (plan.residency.offloaded.empty()) return make_none(arena, options, setup);
  plan.gate_by_events = setup.device->type() == DeviceType::Cuda;
  choose_links(plan, arena, options, setup);
  require_same(
      setup.peers, "the offload plan of " + arena.spec().name,
      fmt::format("{}, {}, {}", to_text(plan.residency), name_of(plan.transport), name_of(plan.interleave)));
  return std::make_unique<Async>(arena, options, setup, std::move(plan));
}

}  // namespace ferry::offload
