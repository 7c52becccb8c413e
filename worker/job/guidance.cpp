#include "worker/job/guidance.h"

#include <algorithm>
#include <cstddef>

#include "model/dit/activations.h"

namespace ferry::worker {
namespace {

std::size_t device_bytes(const RankMemory& rank, const offload::StagePlan& plan) {
  if (rank.on_gpu) return rank.device_use.total_bytes;
  return cpu_device_bytes(rank.host_memory.total_bytes, plan, rank.node_size);
}

}  // namespace

std::size_t cpu_device_bytes(std::size_t host_bytes, const offload::StagePlan& plan, int node_ranks) {
  return (host_bytes - std::min(host_bytes, plan.arena.layout.bytes)) / static_cast<std::size_t>(node_ranks);
}

parallel::CfgChoice choose_cfg(const DitWork& work) {
  const auto ranks = static_cast<int>(work.nodes.size());
  const auto heads = static_cast<int>(work.dit.heads);
  const model::DitActivations half{
      .latent = work.latent, .ulysses = std::clamp(ranks / 2, 1, heads), .branches = 1, .contexts = 1};
  const bool in_place = !work.on_gpu && work.plan.kind == offload::StrategyKind::None;
  const std::size_t weights = in_place ? 0 : work.plan.need.bytes;
  return parallel::choose_cfg({.options = work.options,
                               .ranks = ranks,
                               .nodes = work.nodes,
                               .heads = heads,
                               .guided = work.guided,
                               .bytes = weights + model::activation_bytes(work.dit, half, work.compute),
                               .total_bytes = work.total_bytes});
}

parallel::CfgChoice decide_cfg(const Options& options, const Job& job, const Networks& networks,
                               const std::vector<RankMemory>& ranks) {
  if (options.parallel.cfg != parallel::CfgMode::Auto) return {.mode = options.parallel.cfg, .why = ""};
  const Network* dit = needed_network(networks, Role::Dit, given_to(job));
  if (dit == nullptr) return {};
  DitWork work{.dit = networks.facts.dit,
               .compute = dit->compute,
               .latent = job.latent_shape,
               .guided = job.guided(),
               .plan = dit->plan,
               .on_gpu = ranks[0].on_gpu,
               .options = options.parallel,
               .total_bytes = device_bytes(ranks[0], dit->plan)};
  for (const RankMemory& rank : ranks) {
    work.nodes.push_back(rank.node_index);
    work.total_bytes = std::min(work.total_bytes, device_bytes(rank, dit->plan));
  }
  return choose_cfg(work);
}

}  // namespace ferry::worker
