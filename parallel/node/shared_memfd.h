// Memory that the ranks of one node share and that has no name in a file system: nothing is left behind,
// however they end.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "parallel/node/descriptor.h"

namespace ferry::parallel {

// Gives every rank the words of all, by rank.
using AllGather = std::function<std::vector<std::string>(const std::string&)>;

// Memfds of that many zeroed bytes each, called `name` in /proc/PID/maps; kMostDescriptors at most.  Rank 0
// makes them and passes the descriptors over an abstract Unix socket, or the others open them through /proc.
// Collective over `size` ranks of a node.  Throws SystemError, on every rank when one fails.
std::vector<OwnedDescriptor> share_memfds(const char* name, const std::vector<std::size_t>& bytes, int rank,
                                          int size, const AllGather& all_gather);

// What one of the ranks says went wrong, as "rank 2: ..."; empty when nobody has an error.  Collective.
std::string first_error_of(const std::string& mine, const AllGather& all_gather);

}  // namespace ferry::parallel
