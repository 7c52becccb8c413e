#include "parallel/groups.h"

#include <fmt/format.h>

#include <algorithm>
#include <thread>

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "parallel/mpi/mpi_group.h"
#include "parallel/nccl/nccl_group.h"
#include "parallel/node/copy_group.h"
#include "parallel/patience.h"
#include "parallel/single_group.h"

namespace ferry::parallel {

namespace {

struct Made {
  std::unique_ptr<Group> group;
  Control members;
};

// Makes the group of the ranks that pass the same color.  Collective over the world.
Made make_group(Session& ranks, int color, Device& device) {
  const MPI_Comm comm = ranks.split(color);
  Control members(ranks.thread(), comm);
  if (members.size() == 1) return {make_single_group(), members};
  if (device.type() == DeviceType::Cpu) return {std::make_unique<MpiGroup>(ranks.thread(), comm), members};
  return {make_nccl_group(members, ranks.patience_s(), &ranks.ticks()), members};
}

bool may_copy(ExchangeBy exchange, const Device& device) {
  return exchange == ExchangeBy::Copy || (exchange == ExchangeBy::Auto && device.type() == DeviceType::Cuda);
}

bool on_one_node(Session& ranks, Control& members) {
  const std::vector<std::string> nodes = members.all_gather(std::to_string(ranks.node_index()));
  return std::all_of(nodes.begin(), nodes.end(), [&](const std::string& node) { return node == nodes[0]; });
}

// Wraps the group in a copy group if copies are allowed and work.
std::unique_ptr<Group> with_copies(Made made, Session& ranks, Device& device, ExchangeBy exchange) {
  if (made.group->size() == 1 || !may_copy(exchange, device)) return std::move(made.group);
  std::string why = "its ranks are on several nodes";
  if (on_one_node(ranks, made.members)) {
    why.clear();
    made.group = make_copy_group(std::move(made.group), made.members, device,
                                 {.patience_s = ranks.patience_s(), .ticks = &ranks.ticks()}, why);
  }
  if (!why.empty() && made.members.rank() == 0) {
    const auto level = exchange == ExchangeBy::Copy ? spdlog::level::warn : spdlog::level::info;
    spdlog::log(level, "exchanges go by {}, not by copies: {}", made.group->backend(), why);
  }
  return std::move(made.group);
}

}  // namespace

Groups make_groups(Session& ranks, const Mesh& mesh, Device& device, ExchangeBy exchange) {
  const int video = mesh.data_index;
  const int branch = video * mesh.cfg + mesh.cfg_index;
  const int shard = video * mesh.ulysses + mesh.ulysses_index;
  Groups groups;
  groups.ulysses = with_copies(make_group(ranks, branch, device), ranks, device, exchange);
  groups.cfg = make_group(ranks, shard, device).group;
  groups.data_root = make_group(ranks, video, device).group;
  groups.copy_sharers = with_copies(
      make_group(ranks, video * ranks.node_count() + ranks.node_index(), device), ranks, device, exchange);
  return groups;
}

void wait_for(const Event& event, const Groups& groups, double patience_s,
              const std::function<bool()>& at_look) {
  Patience patience(patience_s);
  const Clock::time_point begin = Clock::now();
  while (!event.done()) {
    for (Group* group :
         {groups.ulysses.get(), groups.cfg.get(), groups.data_root.get(), groups.copy_sharers.get()}) {
      group->check();
    }
    if (at_look && at_look()) patience = Patience(patience_s);
    if (patience.over()) throw Error(fmt::format("the device did not answer within {} s", patience_s));
    const auto pause = std::clamp<Clock::duration>(
        (Clock::now() - begin) / 100, std::chrono::microseconds(10), std::chrono::milliseconds(1));
    std::this_thread::sleep_for(pause);
  }
  event.synchronize();
}

}  // namespace ferry::parallel
