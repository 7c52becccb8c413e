// Assignment of GPUs and CPU cores to ranks.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "parallel/mpi/session.h"

namespace ferry::parallel {

// The GPUs visible to one rank of a node.
struct VisibleGpus {
  int rank = 0;                    // in the world
  std::vector<std::string> uuids;  // by CUDA index in that process
};

// Returns the CUDA index for each rank of a node; `node` is ordered by index on the node.  A rank that sees
// exactly one GPU takes it (Slurm's binding, or CUDA_VISIBLE_DEVICES per task); one that sees several takes
// the one whose index is its own on the node.
// Throws UserError if a rank sees none, there are more ranks than GPUs, or two ranks would share one GPU
// (names both and the GPU).
std::vector<int> assign_gpus(std::span<const VisibleGpus> node);

// Returns the CUDA index for this rank.  Collective over the world; if a node's ranks cannot be bound, every
// rank throws that node's UserError, with the host's name.
int gpu_of_rank(Session& ranks);

// CPU cores in this process's affinity mask.
int usable_cores();

// OpenMP threads for each of `node_size` ranks that share `cores` cores; at least 1.
int threads_per_rank(int cores, int node_size);

}  // namespace ferry::parallel
