// What a row says of the machine: its parts, and the clocks that they ran at.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "parallel/mpi/session.h"

namespace ferry::launcher {

// {"nodes": 1, "hosts": ["n1"], "ranks_per_node": [2], "devices": ["cpu", "cpu"], "cpu": "...", "cores": 8,
// "numa_nodes": 1, "threads": 4}; the processor, its cores and NUMA nodes are the first rank's.  `device`:
// this rank's.  Collective over the world.
nlohmann::ordered_json topology_of(parallel::Session& session, const std::string& device);

// {"cpu_mhz": mean of the cores, "gpus": [{"index", "sm_mhz", "memory_mhz", "most_sm_mhz", "celsius",
// "watts", "throttle"}]} of this node now, the GPUs' as nvidia-smi says; null for what is not known.
nlohmann::ordered_json clocks();

}  // namespace ferry::launcher
