// Which memory is near which processor, on machines with more than one NUMA node.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace ferry {

// A part of the machine with memory of its own.
struct NumaNode {
  int id = 0;
  std::vector<int> cores;
};

// The nodes that have memory, ascending; empty where the system does not say.  `root` stands before /sys,
// for tests.
std::vector<NumaNode> numa_nodes(const std::string& root = "");

// The node of a PCI device ("0000:17:00.0"); -1 where the system does not say.
int numa_node_of_pci(const std::string& address, const std::string& root = "");

// "0000:17:00.0", the address of GPU `index`; empty when built without CUDA or the driver does not say.
std::string cuda_pci_address(int index);

// The cores that this process may run on, ascending.  Throws SystemError.
std::vector<int> allowed_cores();

// One of the ranks of a machine, and what it computes on.
struct NumaSeat {
  int rank = 0;  // index among the ranks of this machine
  int ranks = 1;
  int gpu_node = -1;       // of its GPU; -1: it has none, or nobody knows
  std::vector<int> cores;  // that it may run on
};

// The node that memory for this rank should lie on: its GPU's, else the one with most of its cores; where
// several have as many, ranks are dealt to them in consecutive runs.  -1 where there is nothing to choose.
int choose_numa_node(std::span<const NumaNode> nodes, const NumaSeat& seat);

// Makes the system back the pages of [data, data + bytes) now, with memory of `node` if it has any left.
// Pages that are backed already stay where they are.  Whole pages, zero or not yet written by anybody.
// Returns false, having done nothing, when the system does not let this process choose.
bool back_pages_on(int node, std::span<std::byte> pages);

}  // namespace ferry
