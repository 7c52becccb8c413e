// The weights of one stage on their way from its network's files into the copies of the nodes.
#pragma once

#include <cstddef>
#include <memory>

#include "offload/arena/arena.h"
#include "worker/job/options.h"
#include "worker/networks.h"
#include "worker/rank.h"
#include "worker/roles.h"
#include "worker/weights/host_account.h"
#include "worker/weights/load_meter.h"

namespace ferry::worker {

// Whether the ranks of a node read the weights of such a stage: the first rank is on node 0.
constexpr bool reads_weights(Runs runs, int node_index) { return runs == Runs::Together || node_index == 0; }

struct StageSource {
  const Network* network = nullptr;  // with its plan
  Runs runs = Runs::Together;
  std::size_t activation_bytes = 0;  // that the stage will want beside its weights
  LoraOptions lora{};                // for the network's LoRA, if it has one
};

// A node's copy of one network's weights.
struct HostCopy {
  HostAccount::Share counted;
  std::unique_ptr<offload::NodeArena> arena;  // dies first
};

// Threads fill the copy and page-lock it where this rank copies from it; nobody has waited for them.
struct StageLoad {
  std::unique_ptr<HostCopy> copy;    // nullptr where this rank's node does not read
  std::shared_ptr<LoadMeter> meter;  // nullptr: nothing has begun
};

// What the copy of this rank's node takes; 0 where it does not read.
std::size_t host_bytes(const StageSource& source, const Rank& rank);

// Whether every node that reads has room for the weights of `source`, as things stand, and for as much again
// of `beside` bytes.  Collective over the world.
bool has_room(const StageSource& source, Rank& rank, std::size_t beside_bytes);

// Whether `bytes` are no more than each rank's `available_bytes`; where they are, all have waited for what
// their janitors let go of.  Collective over the world.
bool make_room(Rank& rank, std::size_t bytes, std::size_t available_bytes);

// Makes the copies and begins to fill them.  What `source` points to outlives the load.  Collective over the
// world.  Throws UserError on every rank: not enough memory.
StageLoad begin_load(const StageSource& source, Rank& rank);

// Whether the calls of linears add the network's LoRA, which otherwise is merged as it is loaded.
bool adds_in_calls(const StageSource& source);

}  // namespace ferry::worker
