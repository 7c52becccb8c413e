#include "worker/job/guidance.h"

#include <algorithm>
#include <cstddef>

#include "worker/job/activations.h"

namespace ferry::worker {
namespace {

std::size_t device_bytes(const RankMemory& rank, std::size_t host_copy) {
  if (rank.on_gpu) return rank.device_use.total_bytes;
  const std::size_t host = rank.host_memory.total_bytes;
  return (host - std::min(host, host_copy)) / static_cast<std::size_t>(rank.node_size);
}

}  // namespace

parallel::CfgChoice decide_cfg(const Options& options, const Job& job, const Networks& networks,
                               const std::vector<RankMemory>& ranks) {
  if (options.parallel.cfg != parallel::CfgMode::Auto) return {.mode = options.parallel.cfg, .why = ""};
  const Network* needed = needed_network(networks, Role::Dit, given_to(job));
  if (needed == nullptr) return {};
  const Network& dit = *needed;
  const offload::StagePlan& plan = dit.plan;
  const std::size_t host_copy = plan.arena.layout.bytes;
  const bool in_place = !ranks[0].on_gpu && plan.kind == offload::StrategyKind::None;
  const std::size_t weights = in_place ? 0 : plan.need.bytes;
  const auto heads = static_cast<int>(networks.facts.dit.heads);
  const int half = std::clamp(static_cast<int>(ranks.size()) / 2, 1, heads);
  const model::DitActivations how{.latent = job.latent_shape, .ulysses = half, .branches = 1, .contexts = 1};
  parallel::CfgCase on{.options = options.parallel,
                       .ranks = static_cast<int>(ranks.size()),
                       .nodes = {},
                       .heads = heads,
                       .guided = job.guided(),
                       .bytes = weights + activation_bytes(networks.facts.dit, how, dit.compute),
                       .total_bytes = device_bytes(ranks[0], host_copy)};
  for (const RankMemory& rank : ranks) {
    on.nodes.push_back(rank.node_index);
    on.total_bytes = std::min(on.total_bytes, device_bytes(rank, host_copy));
  }
  return parallel::choose_cfg(on);
}

}  // namespace ferry::worker
