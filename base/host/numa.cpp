#include "base/host/numa.h"

#include <linux/mempolicy.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <climits>
#include <fstream>
#include <sstream>

#include "base/error.h"
#include "base/host/pages.h"

namespace ferry {

namespace {

constexpr std::size_t kMostNodes = 1024;
constexpr std::size_t kBits = sizeof(unsigned long) * CHAR_BIT;

// "0-3,8" -> 0 1 2 3 8; empty if there is no such file.
std::vector<int> list_in(const std::string& path) {
  std::ifstream file(path);
  std::vector<int> found;
  for (std::string range; std::getline(file, range, ',');) {
    std::istringstream in(range);
    int first = 0;
    if (!(in >> first)) continue;
    int last = first;
    char dash = 0;
    if (in >> dash) in >> last;
    for (int i = first; i <= last; ++i) found.push_back(i);
  }
  return found;
}

std::size_t count_common(const std::vector<int>& a, const std::vector<int>& b) {
  return static_cast<std::size_t>(std::count_if(
      a.begin(), a.end(), [&](int each) { return std::find(b.begin(), b.end(), each) != b.end(); }));
}

// Sets this thread's memory policy; the C library has no wrapper for it.
bool set_policy(int mode, const unsigned long* nodes) {
  return ::syscall(SYS_set_mempolicy, mode, nodes, nodes == nullptr ? 0 : kMostNodes) == 0;
}

}  // namespace

std::vector<NumaNode> numa_nodes(const std::string& root) {
  const std::string folder = root + "/sys/devices/system/node/";
  std::vector<NumaNode> nodes;
  for (const int id : list_in(folder + "has_memory")) {
    nodes.push_back({.id = id, .cores = list_in(folder + "node" + std::to_string(id) + "/cpulist")});
  }
  return nodes;
}

int numa_node_of_pci(const std::string& address, const std::string& root) {
  if (address.empty()) return -1;
  std::ifstream file(root + "/sys/bus/pci/devices/" + address + "/numa_node");
  int node = -1;
  return file >> node ? node : -1;
}

std::vector<int> allowed_cores() {
  cpu_set_t mask;
  CPU_ZERO(&mask);
  if (::sched_getaffinity(0, sizeof mask, &mask) != 0) throw_errno("cannot read the CPU affinity mask");
  std::vector<int> cores;
  for (int core = 0; core < CPU_SETSIZE; ++core) {
    if (CPU_ISSET(core, &mask)) cores.push_back(core);
  }
  return cores;
}

int choose_numa_node(std::span<const NumaNode> nodes, const NumaSeat& seat) {
  if (nodes.size() < 2) return -1;
  std::vector<int> best;
  std::size_t most = 0;
  for (const NumaNode& node : nodes) {
    if (node.id == seat.gpu_node) return node.id;
    const std::size_t near = count_common(seat.cores, node.cores);
    if (near > most) best.clear();
    most = std::max(most, near);
    if (near == most && most > 0) best.push_back(node.id);
  }
  if (best.empty()) return -1;
  return best[static_cast<std::size_t>(seat.rank) * best.size() / static_cast<std::size_t>(seat.ranks)];
}

bool back_pages_on(int node, std::span<std::byte> pages) {
  std::array<unsigned long, kMostNodes / kBits> mask{};
  const auto bit = static_cast<std::size_t>(node);
  if (node < 0 || bit >= kMostNodes) return false;
  mask[bit / kBits] = 1UL << bit % kBits;
  if (!set_policy(MPOL_PREFERRED, mask.data())) return false;
  const std::size_t page = page_bytes();
  // Reading a byte and writing it back faults the page in without changing it.
  for (std::size_t at = 0; at < pages.size(); at += page) {
    volatile std::byte* first = pages.data() + at;
    *first = *first;
  }
  set_policy(MPOL_DEFAULT, nullptr);
  return true;
}

}  // namespace ferry
