#include "parallel/binding.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <sstream>

#include "base/device.h"
#include "base/error.h"
#include "base/host/numa.h"
#include "parallel/agree.h"

namespace ferry::parallel {

namespace {

// The UUIDs of the visible GPUs on one line, as ranks exchange them.
std::string visible_here() {
  std::string line;
  for (int i = 0; i < cuda_device_count(); ++i) line += cuda_device_uuid(i) + " ";
  return line;
}

std::vector<std::string> words(const std::string& line) {
  std::istringstream in(line);
  std::vector<std::string> found;
  for (std::string word; in >> word;) found.push_back(word);
  return found;
}

int choose(const VisibleGpus& seen, int index_on_node, int ranks_on_node) {
  const int count = static_cast<int>(seen.uuids.size());
  if (count == 0) {
    throw UserError(fmt::format(
        "rank {} sees no GPU: check the driver and CUDA_VISIBLE_DEVICES, or use --device cpu", seen.rank));
  }
  if (count == 1) return 0;
  if (index_on_node >= count) {
    throw UserError(
        fmt::format("{} ranks on a node with {} GPUs (rank {} has none): start at most {} ranks there",
                    ranks_on_node, count, seen.rank, count));
  }
  return index_on_node;
}

void refuse_sharing(std::span<const VisibleGpus> node, const std::vector<int>& chosen) {
  std::map<std::string, int> owner;  // GPU -> rank
  for (std::size_t i = 0; i < node.size(); ++i) {
    const std::string& gpu = node[i].uuids[static_cast<std::size_t>(chosen[i])];
    const auto [found, first] = owner.emplace(gpu, node[i].rank);
    if (first) continue;
    throw UserError(
        fmt::format("ranks {} and {} would share GPU {}: start one rank for each GPU, and give each "
                    "task its own (or let every task see all GPUs)",
                    found->second, node[i].rank, gpu));
  }
}

// Returns this rank's GPU; throws this node's UserError, with the host's name.
int assign_here(Session& ranks) {
  const std::vector<std::string> lines =
      ranks.node().all_gather(fmt::format("{} {}", ranks.rank(), visible_here()));
  std::vector<VisibleGpus> node;
  for (const std::string& line : lines) {
    const std::vector<std::string> fields = words(line);
    node.push_back({.rank = std::stoi(fields.front()), .uuids = {fields.begin() + 1, fields.end()}});
  }
  try {
    return assign_gpus(node)[static_cast<std::size_t>(ranks.node_rank())];
  } catch (const UserError& error) {
    throw UserError(fmt::format("{}: {}", ranks.host(), error.what()));
  }
}

}  // namespace

std::vector<int> assign_gpus(std::span<const VisibleGpus> node) {
  std::vector<int> chosen;
  for (const VisibleGpus& seen : node) {
    chosen.push_back(choose(seen, static_cast<int>(chosen.size()), static_cast<int>(node.size())));
  }
  refuse_sharing(node, chosen);
  return chosen;
}

int gpu_of_rank(Session& ranks) {
  int gpu = -1;
  agree(ranks, [&] { gpu = assign_here(ranks); });
  return gpu;
}

int usable_cores() { return static_cast<int>(allowed_cores().size()); }

int threads_per_rank(int cores, int node_size) { return std::max(1, cores / std::max(1, node_size)); }

}  // namespace ferry::parallel
