// Checks before loading that the host has room for a network's weights.
#pragma once

#include <cstddef>
#include <string>

#include "base/host/memory_use.h"
#include "offload/arena/arena_plan.h"

namespace ferry::offload {

// Throws UserError unless `copies` of the host copy fit in the available memory. Names both numbers, `where`,
// and the first of plan.narrower that fits, or that none does.
void check_host_memory(const ArenaPlan& plan, std::size_t copies, const HostMemory& memory,
                       const std::string& where);

}  // namespace ferry::offload
