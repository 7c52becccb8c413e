// Memory that the ranks of one node share and that has no name in a file system: nothing is left behind,
// however they end.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "parallel/descriptor.h"

namespace ferry::parallel {

// Gives every rank the words of all, by rank.
using AllGather = std::function<std::vector<std::string>(const std::string&)>;

// A memfd of `bytes` zeroed bytes, called `name` in /proc/PID/maps.  Rank 0 makes it and passes the
// descriptor over an abstract Unix socket, or the others open it through /proc.  Collective over `size` ranks
// of a node. Throws SystemError, on every rank when one fails.
OwnedDescriptor share_memfd(const char* name, std::size_t bytes, int rank, int size,
                            const AllGather& all_gather);

// What one of the ranks says went wrong, as "rank 2: ..."; empty when nobody has an error.  Collective.
std::string first_error_of(const std::string& mine, const AllGather& all_gather);

}  // namespace ferry::parallel
