#include "worker/job/memory_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <numeric>
#include <span>

#include "offload/arena/host_check.h"
#include "offload/device_check.h"

namespace ferry {

NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(MemoryUse, total_bytes, free_bytes)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(HostMemory, total_bytes, available_bytes, limited_by_cgroup)

}  // namespace ferry

namespace ferry::worker {

NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(RankMemory, rank, host, node_index, node_size, host_sharers, on_gpu,
                                   device, device_use, host_memory, held)

namespace {

struct Stage {
  const offload::StagePlan& plan;
  std::size_t activation_bytes = 0;
  std::span<const RankMemory> computing;  // the ranks that run it
};

// "this machine", or the name of one of several nodes.
std::string place_of(const RankMemory& rank, const Machine& machine) {
  const bool one_node = std::all_of(machine.ranks.begin(), machine.ranks.end(),
                                    [](const RankMemory& each) { return each.node_index == 0; });
  const std::string place = ferry::place_of(rank.host_memory);
  return one_node ? place : fmt::format("{} on {}", place, rank.host);
}

// On the CPU the ranks' device memory is the host memory left by the node's copy.
offload::DeviceRoom room_of(const RankMemory& rank, const Machine& machine, std::size_t arena_bytes,
                            int sharing) {
  if (rank.on_gpu) {
    const std::string whose =
        machine.ranks.size() == 1 ? "" : fmt::format(" of rank {} on {}", rank.rank, rank.host);
    return {.free_bytes = rank.device_use.free_bytes,
            .total_bytes = rank.device_use.total_bytes,
            .where = rank.device + whose};
  }
  const HostMemory& host = rank.host_memory;
  const std::size_t left = host.available_bytes - std::min(host.available_bytes, arena_bytes);
  return {.free_bytes = left / static_cast<std::size_t>(sharing),
          .total_bytes = host.total_bytes,
          .where = place_of(rank, machine) + ", beside the host copy of the weights",
          .weights_in_place = true};
}

// A node holds a stage's weights if one of its ranks computes the stage.
const RankMemory& fullest_node(std::span<const RankMemory> ranks) {
  return *std::min_element(ranks.begin(), ranks.end(), [](const RankMemory& a, const RankMemory& b) {
    return a.host_memory.available_bytes < b.host_memory.available_bytes;
  });
}

void check_stage(const Stage& stage, const Machine& machine) {
  const RankMemory& fullest = fullest_node(stage.computing);
  const std::size_t arena_bytes = stage.plan.arena.layout.bytes;
  offload::check_host_memory(stage.plan.arena, 1, fullest.host_memory, place_of(fullest, machine));
  std::vector<offload::DeviceRoom> rooms;
  const bool alone = stage.computing.size() == 1;
  for (const RankMemory& rank : stage.computing) {
    // One of each group, or all.
    const int sharing = alone ? rank.host_sharers / rank.node_size : rank.host_sharers;
    rooms.push_back(room_of(rank, machine, arena_bytes, sharing));
  }
  const auto least = std::min_element(
      rooms.begin(), rooms.end(),
      [](const offload::DeviceRoom& a, const offload::DeviceRoom& b) { return a.free_bytes < b.free_bytes; });
  offload::check_device_memory(stage.plan, stage.activation_bytes, *least);
}

struct RoleNetwork {
  const RoleEntry& entry;
  const Network& network;
};

// While groups of ranks work apart, the copies of other stages do not make room for this one.
Machine beside_held_copies(Machine machine, Role role) {
  for (RankMemory& rank : machine.ranks) {
    const std::size_t own = rank.held.at(static_cast<std::size_t>(role));
    if (own == 0) continue;
    const std::size_t others = std::accumulate(rank.held.begin(), rank.held.end(), std::size_t{0}) - own;
    std::size_t& available = rank.host_memory.available_bytes;
    available -= std::min(available, others);
  }
  return machine;
}

// With the LoRAs that sequential adds in its calls.
offload::StagePlan with_loras(const Network& network) {
  offload::StagePlan plan = network.plan;
  if (plan.kind != offload::StrategyKind::Sequential || !network.loras) return plan;
  const std::size_t bytes = checkpoint::bytes_in_calls(*network.loras, network.spec);
  if (bytes == 0) return plan;
  plan.need.bytes += bytes;
  plan.need.breakdown += fmt::format(", and {:.3f} GB of LoRAs", 1e-9 * static_cast<double>(bytes));
  return plan;
}

void check_role(const RoleNetwork& role, const StageCase& stage, const Machine& of_all) {
  const Machine machine = beside_held_copies(of_all, role.entry.role);
  const std::span<const RankMemory> all(machine.ranks);
  const int ranks = machine.mesh.cfg * machine.mesh.ulysses;
  const bool alone = role.entry.runs(stage.options, ranks) == Runs::FirstRank;
  const offload::StagePlan plan = with_loras(role.network);
  check_stage({plan, role.entry.activation_bytes(stage), alone ? all.first(1) : all}, machine);
}

}  // namespace

std::vector<RankMemory> memory_of_ranks(const Rank& rank) {
  parallel::Session& session = *rank.session;
  RankMemory mine{.rank = session.everyone().rank(),
                  .host = session.host(),
                  .node_index = session.node_index(),
                  .node_size = session.node_size(),
                  .host_sharers = session.whole_node_size(),
                  .on_gpu = rank.on_gpu(),
                  .device = rank.device->name(),
                  .device_use = rank.on_gpu() ? rank.device->memory() : MemoryUse{},
                  .host_memory = rank.idle_host.value_or(host_memory()),
                  .held = rank.held.values};
  mine.device_use.free_bytes += rank.on_gpu() ? rank.account.now() : 0;
  HostMemory& host = mine.host_memory;
  host.available_bytes = std::min(host.available_bytes + rank.host_account.now(), host.total_bytes);
  std::vector<RankMemory> ranks;
  for (const std::string& text : session.all_gather(nlohmann::json(mine).dump())) {
    ranks.push_back(nlohmann::json::parse(text).get<RankMemory>());
  }
  return ranks;
}

void check_memory(const Options& options, const Job& job, const Networks& networks, const Machine& machine) {
  for (const RoleEntry& entry : roles_in_turn()) {
    const Network* network = needed_network(networks, entry.role, given_to(job));
    if (network != nullptr) check_role({entry, *network}, {options, job, networks, machine.mesh}, machine);
  }
}

void check_text_memory(const Options& options, const Networks& networks, const Machine& machine) {
  const Job any;
  check_role({entry_of(Role::TextEncoder), networks[Role::TextEncoder].value()},
             {options, any, networks, machine.mesh}, machine);
}

}  // namespace ferry::worker
