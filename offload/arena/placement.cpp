#include "offload/arena/placement.h"

#include <fmt/ranges.h>

#include <algorithm>

#include "base/host/numa.h"
#include "base/log.h"

namespace ferry::offload {

namespace {

// Adds the pages of one of `ranks` equal parts of [begin, end) in the arena.
void add_share(std::vector<Pages>& pages, std::size_t begin, std::size_t end, std::size_t rank,
               std::size_t ranks) {
  const std::size_t bytes = end - begin;
  const std::size_t from = round_up(begin + bytes * rank / ranks, kBlobAlign);
  const std::size_t to = round_up(begin + bytes * (rank + 1) / ranks, kBlobAlign);
  if (from < to) pages.push_back({.offset = from, .bytes = to - from});
}

// Places this rank's pages and describes it for the others: "1:2048", bytes on NUMA node 1, or nothing.
std::string place_own(const NodeMemory& memory, const std::vector<Pages>& pages, int home) {
  std::size_t placed = 0;
  for (const Pages& each : pages) {
    const std::size_t bytes = std::min(each.bytes, memory.bytes() - each.offset);
    if (home < 0 || !back_pages_on(home, {memory.data() + each.offset, bytes})) return {};
    placed += bytes;
  }
  return fmt::format("{:.1f} MB on {}", static_cast<double>(placed) / 1e6, home);
}

}  // namespace

int numa_home(const Device& device, int rank, int ranks) {
  const bool gpu = device.type() == DeviceType::Cuda;
  return choose_numa_node(numa_nodes(),
                          {.rank = rank,
                           .ranks = ranks,
                           .gpu_node = gpu ? numa_node_of_pci(cuda_pci_address(device.index())) : -1,
                           .cores = allowed_cores()});
}

std::vector<Pages> own_pages(const ArenaLayout& layout, int rank, int ranks) {
  std::vector<Pages> pages;
  const auto add = [&](const Blob& blob, std::size_t front) {
    const auto mine = static_cast<std::size_t>(rank);
    const auto all = static_cast<std::size_t>(ranks);
    add_share(pages, blob.offset, blob.offset + front, mine, all);
    add_share(pages, blob.offset + front, blob.offset + blob.bytes, mine, all);
  };
  add(layout.head.blob, layout.head.front);
  for (const BlockPlace& block : layout.blocks) add(block.blob, block.front);
  add(layout.tail.blob, layout.tail.front);
  add(layout.host, layout.host.bytes);
  return pages;
}

void place_pages(const NodeMemory& memory, const ArenaLayout& layout, const NodeRanks& node,
                 const std::string& name) {
  const bool shared = memory.kind() != MemoryKind::Private;
  std::vector<Pages> mine =
      shared ? own_pages(layout, node.peers.rank, node.peers.size) : own_pages(layout, 0, 1);
  // Each rank starts elsewhere: the kernel allocates nearby pages for one thread at a time.
  const auto ranks = static_cast<std::size_t>(node.peers.size);
  const std::size_t first = mine.size() * static_cast<std::size_t>(node.peers.rank) / ranks;
  std::rotate(mine.begin(), mine.begin() + static_cast<std::ptrdiff_t>(first), mine.end());
  const std::vector<std::string> homes = all_gather_text(node.peers, std::to_string(node.home));
  if (std::all_of(homes.begin(), homes.end(), [](const std::string& home) { return home == "-1"; })) return;
  std::vector<std::string> done = all_gather_text(node.peers, place_own(memory, mine, node.home));
  std::replace(done.begin(), done.end(), std::string(), std::string("anywhere"));
  if (node.peers.rank != 0) return;
  spdlog::debug("{}: weights of this node's ranks lie on its NUMA nodes: {}", name, fmt::join(done, ", "));
}

}  // namespace ferry::offload
