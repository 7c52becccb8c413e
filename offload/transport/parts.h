// Sizes of the ranks' parts of the shared bytes (shares.h) if their links differ: GPUs behind one PCIe switch
// are slower than others of the same node.
//
//   links    20 GB/s   20 GB/s     40 GB/s          a whole block is ready when the slowest link is done:
//   parts    |  50  |  |  50  |  |     100     |    bytes / the sum of the links, not / 3 times the slowest
//
// With a share below 1 each rank also copies the rests, which are the same for all; then the slow links
// finish last, but sooner than with even parts.
#pragma once

#include <vector>

namespace ferry::offload {

// Relative sizes: each link in hundredths of the fastest, so that measurements that differ by less agree.
// Empty, for even parts, unless the fastest is more than a quarter faster than the slowest.  `gbps` by rank,
// while all copy; may be empty.
// Throws std::invalid_argument unless all are positive and finite.
std::vector<double> parts_of_links(const std::vector<double>& gbps);

}  // namespace ferry::offload
