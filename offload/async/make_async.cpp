#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <optional>
#include <string>

#include "base/log.h"
#include "offload/async/async.h"
#include "offload/none.h"
#include "offload/transport/link_probe.h"
#include "offload/transport/parts.h"

namespace ferry::offload {

namespace {

int weight_ranks(const StageSetup& setup) {
  return setup.copy_sharers == nullptr ? 1 : setup.copy_sharers->size();
}

// A gather needs equal shares of every block.
bool divides(const NodeArena& arena, int ranks) {
  for (const BlockPlace& block : arena.layout().blocks) {
    if (block.blob.bytes % (static_cast<std::size_t>(ranks) * kTensorAlign) != 0) return false;
  }
  return true;
}

// The smallest number of ranks that can share copies on their node, over all ranks of the stage, so that all
// decide alike; 1: sharing is impossible somewhere.
int least_sharing(const NodeArena& arena, const StageSetup& setup) {
  const int ranks = weight_ranks(setup);
  int least = divides(arena, ranks) ? ranks : 1;
  for (const std::string& each : all_gather_text(setup.peers, std::to_string(least))) {
    least = std::min(least, std::stoi(each));
  }
  return least;
}

double sum_of(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0);
}

// Mean bytes per ferried block in later forwards.
std::size_t block_bytes(const ArenaLayout& layout, const std::vector<int>& offloaded) {
  std::size_t bytes = 0;
  for (const int block : offloaded) bytes += block_of(layout, block).front;
  return bytes / offloaded.size();
}

// Sizes parts by the links if these differ.  A rank's even part is page-locked first, and copies of unlocked
// parts would be slow, so wait for all.
void open_parts(AsyncPlan& plan, NodeArena& arena, const LinkFigures& links) {
  plan.sharing.weights = parts_of_links(links.by_rank_gbps);
  if (!plan.sharing.weights.empty()) arena.wait_pinned();
}

// The initial share: while page-locking is in progress anywhere, the share that needs only what is locked;
// else the one with which a block is ready soonest.
void open_share(AsyncPlan& plan, const NodeArena& arena, const std::vector<int>& offloaded,
                const LinkFigures& links, int ranks, const parallel::Peers& peers) {
  const ShareFigures figures{.block_bytes = block_bytes(arena.layout(), offloaded),
                             .together_gbps = links.together_gbps,
                             .sum_gbps = plan.sharing.weights.empty() ? 0 : sum_of(links.by_rank_gbps),
                             .gather_gbps = links.gather_gbps,
                             .ranks = ranks,
                             .in_slices = links.by_copies};
  plan.open = AutoSharePlan{.figures = figures};
  bool over = true;
  for (const std::string& each : all_gather_text(peers, arena.pinning_over() ? "over" : "")) {
    over = over && !each.empty();
  }
  plan.sharing.share = over ? share_candidates(figures, 1, 0, 1).front().share : 1;
}

// Measures what the plan leaves open; without peers on the node there is no choice.
AsyncPlan choose_links(NodeArena& arena, const StagePlan& stage, const StageSetup& setup) {
  AsyncPlan plan;
  const int ranks = least_sharing(arena, setup);
  const std::optional<double> share = stage.share;
  if (ranks > 1) plan.sharing.share = share.value_or(0);
  plan.interleave = stage.interleave;
  if (ranks > 1 && (!share || plan.interleave == Interleave::Auto)) {
    const LinkFigures figures = measure_links(arena, stage.link_gbps, setup);
    if (!share) {
      open_parts(plan, arena, figures);
      open_share(plan, arena, stage.residency.offloaded, figures, ranks, setup.peers);
    }
    if (plan.interleave == Interleave::Auto) plan.interleave = choose_interleave(figures);
    if (setup.peers.rank == 0) spdlog::info("{}: {}", arena.spec().name, to_text(figures));
  }
  if (share.value_or(0) > 0 && ranks == 1 && setup.peers.size > 1 && setup.peers.rank == 0) {
    spdlog::warn("{}: a rank has no other on its node to share copies with: transport full, not sharded",
                 arena.spec().name);
  }
  if (plan.interleave == Interleave::Auto) plan.interleave = Interleave::Free;
  return plan;
}

// Empty for even parts.
std::string parts_text(const Sharing& sharing) {
  if (sharing.weights.empty()) return "";
  std::string text;
  for (const double part : sharing.weights) text += fmt::format("{}{}", text.empty() ? "" : ":", part);
  return " in parts " + text;
}

// "1.25", or "1.25 to 1.75" if ranks differ.
std::string gb_text(double least, double most) {
  const std::string text = fmt::format("{:.3f}", least * 1e-9);
  return least == most ? text : fmt::format("{} to {:.3f}", text, most * 1e-9);
}

// Describes what later forwards copy to a rank, and how.
std::string to_text(const ArenaLayout& layout, const std::vector<int>& offloaded, const AsyncPlan& plan,
                    int ranks) {
  double bytes = 0;
  for (const int block : offloaded) {
    bytes += static_cast<double>(block_of(layout, block).front);
  }
  double least = 1;
  double most = 0;
  for (int rank = 0; rank < ranks; ++rank) {
    const double copied = copied_share(plan.sharing, rank, ranks);
    least = std::min(least, copied);
    most = std::max(most, copied);
  }
  return fmt::format(
      "{}transport {}, share {:.3g}{}, interleave {}; of {:.3f} GB a forward each rank copies {} and gathers "
      "{}",
      plan.open ? "at first " : "", name_of(plan.sharing.share > 0 ? Transport::Sharded : Transport::Full),
      plan.sharing.share, parts_text(plan.sharing), name_of(plan.interleave), bytes * 1e-9,
      gb_text(least * bytes, most * bytes), gb_text((1 - most) * bytes, (1 - least) * bytes));
}

}  // namespace

std::unique_ptr<Strategy> make_async(NodeArena& arena, const StagePlan& stage, const StageSetup& setup) {
  const Residency& residency = stage.residency;
  if (residency.offloaded.empty()) return make_none(arena, stage, setup);
  AsyncPlan plan = choose_links(arena, stage, setup);
  plan.slice_bytes = slice_bytes_for(weight_ranks(setup));
  plan.gate_by_events = setup.device->type() == DeviceType::Cuda;
  require_same(setup.peers, "the offload plan of " + stage.stage(),
               fmt::format("{}, share {}{}, {}", to_text(residency), plan.sharing.share,
                           parts_text(plan.sharing), name_of(plan.interleave)));
  if (weight_ranks(setup) > 1 && setup.peers.rank == 0) {
    spdlog::info("{}: {}", stage.stage(),
                 to_text(arena.layout(), residency.offloaded, plan, weight_ranks(setup)));
  }
  return std::make_unique<Async>(arena, stage, setup, std::move(plan));
}

}  // namespace ferry::offload
