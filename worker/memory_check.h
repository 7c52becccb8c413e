// Says before any weight is read whether a job's weights fit, on the host and on the device.
#pragma once

#include "base/device.h"
#include "parallel/mesh.h"
#include "worker/job.h"
#include "worker/networks.h"
#include "worker/options.h"

namespace ferry::worker {

// What a job runs on.
struct Machine {
  const Device* device = nullptr;
  parallel::Mesh mesh;
  int node_size = 1;  // ranks of this node
};

// Of each stage: the strategy suits the network, vram_limit is enough, and host and device have room for what
// the strategy takes and for the activations.
// Throws UserError: the numbers, and the setting that would fit or that none does.
void check_memory(const Options& options, const Job& job, const Networks& networks, const Machine& machine);

}  // namespace ferry::worker
