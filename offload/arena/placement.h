// Placement of the pages of the node's copy, on nodes with several NUMA nodes.
//
//   front    | rank 0's P-th | rank 1's | ... | rank P-1's |     the even split of transport `sharded`
//   memory     near rank 0     near rank 1      near rank P-1
//
// Every pass uses the front of a blob; the part used only by the first is split separately in the same way.
// So a sharded copy reads only near memory, and a full one uses the memory of all NUMA nodes evenly.  Parts
// that follow the links (parts.h) are determined too late for this: they extend into a neighbour's memory.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "base/device.h"
#include "offload/arena/layout.h"
#include "offload/arena/node_memory.h"

namespace ferry::offload {

// The NUMA node for this rank's part: its GPU's, on the CPU that of its cores; -1 if there is only one.
// `rank` of `ranks` on this node.
int numa_home(const Device& device, int rank, int ranks);

struct Pages {
  std::size_t offset = 0;  // in the arena, a multiple of a page
  std::size_t bytes = 0;
};

// The pages placed by one of `ranks`, ascending: its P-th of each blob, with a page on a border assigned to
// the rank whose bytes come first.  All ranks together cover the whole arena.
std::vector<Pages> own_pages(const ArenaLayout& layout, int rank, int ranks);

// Call before anything is written: backs the arena's pages, each rank its own, on node.home; private memory
// is placed entirely by its owner.  Logs the placement at level debug.  Does nothing if no rank has a home.
// Collective over the node.
void place_pages(const NodeMemory& memory, const ArenaLayout& layout, const NodeRanks& node,
                 const std::string& name);

}  // namespace ferry::offload
