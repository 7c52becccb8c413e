// Says before loading whether the host has room for a network's weights.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "base/host/memory_use.h"
#include "model/weights.h"
#include "offload/arena/arena_plan.h"

namespace ferry::offload {

// Another way to run, and what it would take on the host.
struct Alternative {
  std::string setting;
  std::size_t bytes = 0;
};

// Narrower types for the stored weights: bf16 for a network in fp32, fp8 under sequential.
std::vector<Alternative> alternatives_of(const ArenaPlan& plan);

// "limit of the cgroup" or "this machine": where the calling process's memory ends.
std::string place_of(const HostMemory& memory);

// Throws UserError unless `copies` times `bytes` are available: says both numbers, `where`, and the first
// alternative that fits, or that none does.
void check_host_memory(const ArenaPlan& plan, std::size_t bytes, std::size_t copies, const HostMemory& memory,
                       const std::string& where);

}  // namespace ferry::offload
