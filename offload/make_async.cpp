#include <fmt/format.h>

#include <algorithm>
#include <string>

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

// The least number of ranks that can share a copy on their node, over all ranks that run the stage, so that
// all decide alike; 1: somewhere nobody can.
int least_sharing(const NodeArena& arena, const StageSetup& setup) {
  const int ranks = weight_ranks(setup);
  int least = divides(arena, ranks) ? ranks : 1;
  for (const std::string& each : gather_words(setup.peers, std::to_string(least))) {
    least = std::min(least, std::stoi(each));
  }
  return least;
}

// What is Auto is measured, the rest taken; without peers on the node there is nothing to choose.
void choose_links(AsyncPlan& plan, NodeArena& arena, const Options& options, const StageSetup& setup) {
  const int ranks = least_sharing(arena, setup);
  Transport transport = options.transport;
  plan.interleave = options.interleave;
  const bool open = transport == Transport::Auto || plan.interleave == Interleave::Auto;
  if (open && ranks > 1) {
    const LinkFigures figures = measure_links(arena, options, setup);
    if (transport == Transport::Auto) transport = choose_transport(figures, ranks);
    if (plan.interleave == Interleave::Auto) plan.interleave = choose_interleave(figures);
    if (setup.peers.rank == 0) {
      spdlog::info("{}: {}; transport {}, interleave {}", arena.spec().name, to_text(figures),
                   name_of(transport), name_of(plan.interleave));
    }
  }
  if (transport == Transport::Sharded && ranks == 1 && setup.peers.size > 1 && setup.peers.rank == 0) {
    spdlog::warn("{}: a rank has no other on its machine to share copies with: transport full, not sharded",
                 arena.spec().name);
  }
  if (transport == Transport::Sharded && ranks > 1) plan.sharing.share = 1;
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
      fmt::format("{}, share {}, {}", to_text(plan.residency), plan.sharing.share, name_of(plan.interleave)));
  return std::make_unique<Async>(arena, options, setup, std::move(plan));
}

}  // namespace ferry::offload
