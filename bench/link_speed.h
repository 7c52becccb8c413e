// Copy speed from the node's host copy to a device, with no other load.
#pragma once

#include "base/device.h"
#include "offload/arena/arena.h"

namespace ferry::bench {

// Returns 1e9 bytes/s, the median of 5 copies of the arena's largest block in the chunks of
// offload/transport/link.h, on a stream of its own; blocks.  Page-lock the arena first.  Throws OutOfMemory.
double link_gbps(const offload::NodeArena& arena, Device& device);

}  // namespace ferry::bench
