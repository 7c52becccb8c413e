// How fast a device takes bytes of the node's copy, with nothing beside it.
#pragma once

#include "base/device.h"
#include "offload/arena/arena.h"

namespace ferry::bench {

// 1e9 bytes/s, the median of 5 times the arena's largest block in the chunks of offload/transport/link.h, on
// a stream of its own; waits for it.  Page-lock the arena first.  Throws OutOfMemory.
double link_gbps(const offload::NodeArena& arena, Device& device);

}  // namespace ferry::bench
