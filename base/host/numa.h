// NUMA topology and placement of memory.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace ferry {

// A part of a node (a computer) with memory of its own.
struct NumaNode {
  int id = 0;
  std::vector<int> cores;
};

// The NUMA nodes that have memory, ascending; empty if the system does not report them.  `root` is prepended
// to /sys, for tests.
std::vector<NumaNode> numa_nodes(const std::string& root = "");

// The NUMA node of a PCI device ("0000:17:00.0"); -1 if unknown.
int numa_node_of_pci(const std::string& address, const std::string& root = "");

// The PCI address of GPU `index`, such as "0000:17:00.0"; empty if built without CUDA or unknown.
std::string cuda_pci_address(int index);

// The cores that this process may run on, ascending.  Throws SystemError.
std::vector<int> allowed_cores();

// One of the ranks of a node, and its processors.
struct NumaSeat {
  int rank = 0;  // index among the ranks of this node
  int ranks = 1;
  int gpu_node = -1;       // NUMA node of its GPU; -1: no GPU, or unknown
  std::vector<int> cores;  // it may run on
};

// Chooses the NUMA node for this rank's memory: its GPU's, else the one with most of its cores; in a tie,
// ranks are spread over the tied NUMA nodes in consecutive groups.  Returns -1 if there is no choice.
int choose_numa_node(std::span<const NumaNode> nodes, const NumaSeat& seat);

// Faults in the pages of [data, data + bytes) now, preferably from memory of `node`.  Pages already backed
// stay where they are.  Whole pages, zero or not yet written.  Returns false, having done nothing, if this
// process may not set its memory policy.
bool back_pages_on(int node, std::span<std::byte> pages);

}  // namespace ferry
