// Checks, before any weight is read, that a job's weights fit on every node and device.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "base/host/memory_use.h"
#include "parallel/mesh.h"
#include "worker/job/job.h"
#include "worker/job/options.h"
#include "worker/networks.h"
#include "worker/rank.h"

namespace ferry::worker {

// Memory available to a job, as seen by one rank.
struct RankMemory {
  int rank = 0;
  std::string host;      // name of its node
  int node_index = 0;    // Session::node_index()
  int node_size = 1;     // ranks of that node
  int host_sharers = 1;  // as above, with those of other groups (Session::divide)
  bool on_gpu = false;
  std::string device;    // "NVIDIA H100 80GB HBM3"; "cpu"
  MemoryUse device_use;  // on a GPU, its own
  HostMemory host_memory;
  std::array<std::size_t, kRoleCount> held{};  // of it, host copies that other groups use too, by role
};

// Memory of all ranks, in rank order; weights held by this program count as free, since they are released
// when needed.  Collective over the world.
std::vector<RankMemory> memory_of_ranks(const Rank& rank);

// The ranks and devices of a job.
struct Machine {
  std::vector<RankMemory> ranks;  // not empty
  parallel::Mesh mesh;
};

// Checks each stage's plan: the fullest of the nodes that compute it must have room for the host copy, and
// the device with the least free memory of those that compute it for the strategy's need and the activations.
// Throws UserError with the numbers, with several ranks also whose they are, and the setting that would fit,
// if any.
void check_memory(const Options& options, const Job& job, const Networks& networks, const Machine& machine);
// The same for the text encoder alone, whatever the job.
void check_text_memory(const Options& options, const Networks& networks, const Machine& machine);

}  // namespace ferry::worker
