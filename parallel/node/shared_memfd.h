// Memory shared by the ranks of one node without a name in a file system: nothing is left behind, however
// they end.
#pragma once

#include <cstddef>
#include <vector>

#include "parallel/node/descriptor.h"
#include "parallel/peers.h"

namespace ferry::parallel {

// Creates zeroed memfds of the given sizes, called `name` in /proc/PID/maps; kMostDescriptors at most.  Rank
// 0 makes them and passes the descriptors over an abstract Unix socket, or the others open them through
// /proc.
// Collective over the peers, ranks of one node.  Throws on every rank if one fails: SystemError, or another
// Error if memory can be shared so but there is no room for that much.
std::vector<OwnedDescriptor> share_memfds(const char* name, const std::vector<std::size_t>& bytes,
                                          const Peers& peers);

}  // namespace ferry::parallel
