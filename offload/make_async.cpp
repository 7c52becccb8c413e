#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <string>

#include "base/error.h"
#include "base/log.h"
#include "offload/async.h"
#include "offload/link_test.h"
#include "offload/none.h"
#include "offload/stated_share.h"

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

// What later forwards bring of a ferried block.
std::size_t block_bytes(const ArenaLayout& layout, const std::vector<int>& offloaded) {
  std::size_t bytes = 0;
  for (const int block : offloaded) bytes += block_of(layout, block).front;
  return bytes / offloaded.size();
}

// The share to begin with: while page-locking goes on somewhere, that which needs no more than is locked;
// else the one with which a block is there soonest.
void open_share(AsyncPlan& plan, const NodeArena& arena, const LinkFigures& links, int ranks,
                const Peers& peers) {
  const ShareFigures figures{.block_bytes = block_bytes(arena.layout(), plan.residency.offloaded),
                             .together_gbps = links.together_gbps,
                             .gather_gbps = links.gather_gbps,
                             .ranks = ranks,
                             .in_slices = links.by_copies};
  plan.open = AutoSharePlan{.figures = figures};
  bool over = true;
  for (const std::string& each : gather_words(peers, arena.pinning_over() ? "over" : "")) {
    over = over && !each.empty();
  }
  plan.sharing.share = over ? share_candidates(figures, 1, 0, 1).front().share : 1;
}

// What is not said is measured; without peers on the node there is nothing to choose.
void choose_links(AsyncPlan& plan, NodeArena& arena, const Options& options, const StageSetup& setup) {
  const int ranks = least_sharing(arena, setup);
  const std::optional<double> share = stated_share(arena.spec().name, options);
  if (ranks > 1) plan.sharing.share = share.value_or(0);
  plan.interleave = options.interleave;
  if (ranks > 1 && (!share || plan.interleave == Interleave::Auto)) {
    const LinkFigures figures = measure_links(arena, options, setup);
    if (!share) open_share(plan, arena, figures, ranks, setup.peers);
    if (plan.interleave == Interleave::Auto) plan.interleave = choose_interleave(figures);
    if (setup.peers.rank == 0) spdlog::info("{}: {}", arena.spec().name, to_text(figures));
  }
  if (share.value_or(0) > 0 && ranks == 1 && setup.peers.size > 1 && setup.peers.rank == 0) {
    spdlog::warn("{}: a rank has no other on its machine to share copies with: transport full, not sharded",
                 arena.spec().name);
  }
  if (plan.interleave == Interleave::Auto) plan.interleave = Interleave::Free;
}

// What later forwards bring to a rank, and how.
std::string to_text(const ArenaLayout& layout, const AsyncPlan& plan, int ranks) {
  double bytes = 0;
  for (const int block : plan.residency.offloaded) {
    bytes += static_cast<double>(block_of(layout, block).front);
  }
  const double copied = copied_share(plan.sharing, 0, ranks);
  return fmt::format(
      "{}transport {}, share {:.3g}, interleave {}; of {:.3f} GB a forward each rank copies {:.3f} "
      "and gathers {:.3f}",
      plan.open ? "at first " : "", name_of(plan.sharing.share > 0 ? Transport::Sharded : Transport::Full),
      plan.sharing.share, name_of(plan.interleave), bytes * 1e-9, copied * bytes * 1e-9,
      (1 - copied) * bytes * 1e-9);
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
  if (weight_ranks(setup) > 1 && setup.peers.rank == 0) {
    spdlog::info("{}: {}", arena.spec().name, to_text(arena.layout(), plan, weight_ranks(setup)));
  }
  return std::make_unique<Async>(arena, options, setup, std::move(plan));
}

}  // namespace ferry::offload
