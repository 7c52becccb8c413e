// Loads the weights of one stage from its network's files into the copies of the nodes.
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

// True if the ranks of a node read the weights of such a stage: the first rank is on node 0.
constexpr bool reads_weights(Runs runs, int node_index) { return runs == Runs::AllRanks || node_index == 0; }

struct StageSource {
  const Network* network = nullptr;  // with its plan
  Runs runs = Runs::AllRanks;
  std::size_t activation_bytes = 0;  // needed by the stage in addition to its weights
  // The LoRAs that are added to it; nullptr: none.
  std::shared_ptr<const checkpoint::LoraStack> loras{};
  offload::Forecast forecast{};  // of its plan's ways, for offload type auto
};

// A node's copy of one network's weights.
struct HostCopy {
  HostAccount::Share counted;
  std::unique_ptr<offload::NodeArena> arena;  // destroyed first
};

// A load in progress: threads fill the copy and, if this rank copies from it, page-lock it.
struct StageLoad {
  std::unique_ptr<HostCopy> copy;    // nullptr if this rank's node does not read
  std::shared_ptr<LoadMeter> meter;  // nullptr: not started
};

// Bytes of the copy on this rank's node; 0 if it does not read.
std::size_t host_bytes(const StageSource& source, const Rank& rank);

// True if every node that reads currently has room for the weights of `source` and for an additional `beside`
// bytes.  Collective over the world.
bool has_room(const StageSource& source, Rank& rank, std::size_t beside_bytes);

// True if `bytes` fit in each rank's `available_bytes`; otherwise all ranks have waited for their janitors to
// free memory.  Collective over the world.
bool make_room(Rank& rank, std::size_t bytes, std::size_t available_bytes);

// Makes the copies and starts filling them.  Everything `source` points to must outlive the load.  Collective
// over the world.  Throws UserError on every rank: not enough memory.
StageLoad begin_load(const StageSource& source, Rank& rank);

// True if calls of linears add the low-rank additions of LoRAs to them; else all is merged on loading.
bool adds_in_calls(const StageSource& source);

// What is merged into the copy.
offload::Merge merge_of(const StageSource& source);

}  // namespace ferry::worker
