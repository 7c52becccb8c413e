// Where the pages of the node's copy lie, on nodes with more than one NUMA node.
//
//   front    | rank 0's P-th | rank 1's | ... | rank P-1's |     as transport `sharded` divides it evenly
//   memory     near rank 0     near rank 1      near rank P-1
//
// The front of a blob is what every pass uses; what only the first uses is divided in the same way by itself.
// So a sharded copy reads near memory alone, and a full one draws on the memory of all nodes alike.  Parts
// that follow the links (parts.h) are found too late for this: they begin and end in a neighbour's memory.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "base/device.h"
#include "offload/arena/layout.h"
#include "offload/arena/node_memory.h"

namespace ferry::offload {

// The NUMA node that this rank's part should lie on: its GPU's, on the CPU that of its cores; -1 where there
// is only one.  `rank` of `ranks` on this node.
int numa_home(const Device& device, int rank, int ranks);

struct Pages {
  std::size_t offset = 0;  // in the arena, a multiple of a page
  std::size_t bytes = 0;
};

// The pages that one of `ranks` places, ascending: of each blob the P-ths that are its own, a page on a
// border counted to the rank whose bytes come first.  Those of all ranks together are the whole arena.
std::vector<Pages> own_pages(const ArenaLayout& layout, int rank, int ranks);

// Before anything is written to it: backs the arena's pages, each rank its own, on node.home; memory that is
// not shared is placed whole by its owner.  Says at level debug what lies where.  Does nothing when no rank
// has a home.  Collective over the node.
void place_pages(const NodeMemory& memory, const ArenaLayout& layout, const NodeRanks& node,
                 const std::string& name);

}  // namespace ferry::offload
