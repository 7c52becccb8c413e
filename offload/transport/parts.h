// How large the ranks' parts of what they share (shares.h) are, where their links differ: GPUs behind one
// PCIe switch are slower than others of the same node.
//
//   links    20 GB/s   20 GB/s     40 GB/s          a whole block is there when the slowest link is through:
//   parts    |  50  |  |  50  |  |     100     |    bytes / the sum of the links, not / 3 times the slowest
//
// Of a share below 1 each rank also copies the rests, which are the same for all; there the slow links end
// last, though sooner than with even parts.
#pragma once

#include <vector>

namespace ferry::offload {

// The sizes beside each other: each link in hundredths of the fastest, so that two measurements that differ
// by less give the same.  Nothing, for even parts, unless the fastest is more than a quarter faster than the
// slowest.  `gbps` by rank, while all copy; may be empty.
// Throws std::invalid_argument unless all are above 0 and finite.
std::vector<double> parts_of_links(const std::vector<double>& gbps);

}  // namespace ferry::offload
