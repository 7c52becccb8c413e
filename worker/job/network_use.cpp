#include "worker/job/network_use.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <span>
#include <vector>

#include "base/dtype.h"

namespace ferry::worker {

namespace {

constexpr double kTrips = 4;  // of queries, keys, values, and what attention makes of them
constexpr std::size_t kNamed = 4;

std::vector<int> nodes_of(const Machine& machine) {
  std::vector<int> nodes;
  for (const RankMemory& rank : machine.ranks) nodes.push_back(rank.node_index);
  return nodes;
}

std::string amount(double bytes) {
  if (bytes == 0) return "nothing";
  return bytes < 1e9 ? fmt::format("{:.3g} MB", bytes / 1e6) : fmt::format("{:.3g} GB", bytes / 1e9);
}

// At most kNamed of them.
std::string listed(const std::vector<std::string>& all) {
  const std::size_t named = std::min(kNamed, all.size());
  const std::string text = fmt::format("{}", fmt::join(all.begin(), all.begin() + named, ", "));
  return named == all.size() ? text : fmt::format("{} and {} more", text, all.size() - named);
}

// "ranks 0-3 (alpha 2, beta 2)"; empty if they are on one node.
std::string span_of(std::span<const RankMemory> group) {
  std::vector<std::string> nodes;
  for (std::size_t i = 0; i < group.size();) {
    std::size_t end = i;
    while (end < group.size() && group[end].node_index == group[i].node_index) ++end;
    nodes.push_back(fmt::format("{} {}", group[i].host, end - i));
    i = end;
  }
  if (nodes.size() == 1) return {};
  return fmt::format("ranks {}-{} ({})", group.front().rank, group.back().rank, listed(nodes));
}

// The groups that are on several nodes.
std::string spans(const Machine& machine) {
  const std::span<const RankMemory> ranks(machine.ranks);
  const auto size = static_cast<std::size_t>(machine.mesh.ulysses);
  std::vector<std::string> all;
  for (std::size_t first = 0; first + size <= ranks.size(); first += size) {
    const std::string span = span_of(ranks.subspan(first, size));
    if (!span.empty()) all.push_back(span);
  }
  return listed(all);
}

// Ranks of a video in the largest groups that send nothing over the network; 0: there are none.
int inside_nodes(const parallel::Mesh& mesh, const std::vector<int>& nodes) {
  const auto all = static_cast<int>(nodes.size());
  for (int videos = 2; videos <= all; ++videos) {
    const int ranks = all / videos;
    const int ulysses = mesh.cfg == 2 && ranks % 2 == 0 ? ranks / 2 : ranks;
    if (all % videos == 0 && parallel::crossings(nodes, ulysses) == 0) return ranks;
  }
  return 0;
}

// Bytes that attention's exchanges send from node to node in a step, with all branches.
double network_bytes(const Job& job, const Networks& networks, const parallel::Mesh& mesh,
                     const std::vector<int>& nodes) {
  const Network* dit = needed_network(networks, Role::Dit, given_to(job));
  if (dit == nullptr) return 0;
  const std::int64_t tokens = job.latent_shape[1] * job.latent_shape[2] * job.latent_shape[3] / 4;
  const model::DitConfig& config = networks.facts.dit;
  const double rows = kTrips * static_cast<double>(config.layers * tokens * config.dim);
  const int branches = job.guided() && mesh.cfg == 1 ? 2 : 1;  // of each group
  return rows * static_cast<double>(size_of(dit->compute)) * branches *
         parallel::crossings(nodes, mesh.ulysses);
}

std::string way_out(const Job& job, const Networks& networks, const Machine& machine, bool may_halve) {
  const parallel::Mesh& mesh = machine.mesh;
  const std::vector<int> nodes = nodes_of(machine);
  if (may_halve && job.guided() && mesh.cfg == 1 && mesh.ulysses % 2 == 0) {
    parallel::Mesh halves = mesh;
    halves.cfg = 2;
    halves.ulysses = mesh.ulysses / 2;
    return fmt::format("--cfg parallel would send {}", amount(network_bytes(job, networks, halves, nodes)));
  }
  const int ranks = inside_nodes(mesh, nodes);
  if (ranks > 1) {
    return fmt::format("several videos at a time, on {} ranks each (--jobs, --data), would send nothing",
                       ranks);
  }
  return "ranks of one node alone, or a number on each node that is a multiple of ulysses, would send "
         "nothing";
}

}  // namespace

std::string network_warning(const Job& job, const Networks& networks, const Machine& machine,
                            bool may_halve) {
  const double bytes = network_bytes(job, networks, machine.mesh, nodes_of(machine));
  if (bytes == 0) return {};
  return fmt::format("ulysses {} goes over the network: {} exchange {} a step between nodes; {}",
                     machine.mesh.ulysses, spans(machine), amount(bytes),
                     way_out(job, networks, machine, may_halve));
}

}  // namespace ferry::worker
