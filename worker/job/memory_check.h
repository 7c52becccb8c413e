// Says before any weight is read whether a job's weights fit, on every node and on every device.
#pragma once

#include <string>
#include <vector>

#include "base/host/memory_use.h"
#include "parallel/mesh.h"
#include "worker/job/job.h"
#include "worker/job/options.h"
#include "worker/networks.h"
#include "worker/rank.h"

namespace ferry::worker {

// What one rank sees of the memory that a job will share.
struct RankMemory {
  int rank = 0;
  std::string host;    // name of its node
  int node_index = 0;  // Session::node_index()
  int node_size = 1;   // ranks of that node
  bool on_gpu = false;
  std::string device;    // "NVIDIA H100 80GB HBM3"; "cpu"
  MemoryUse device_use;  // on a GPU, its own
  HostMemory host_memory;
};

// Of all ranks, in their order; what the weights of this program hold counts as free, as they give it back
// where it is needed.  Collective over the world.
std::vector<RankMemory> memory_of_ranks(const Rank& rank);

// What a job runs on.
struct Machine {
  std::vector<RankMemory> ranks;  // not empty
  parallel::Mesh mesh;
};

// Of each stage's plan: the fullest node of those where it is computed has room for the host copy, and the
// device with the least free memory of those that compute the stage for what the strategy takes and for the
// activations.
// Throws UserError: the numbers, with more than one rank also whose they are, and the setting that would fit
// or that none does.
void check_memory(const Options& options, const Job& job, const Networks& networks, const Machine& machine);

}  // namespace ferry::worker
