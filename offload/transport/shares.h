// Who copies what of a block.
//
//   what a pass wants   |     rank 0's    |     rank 1's    | ... |   rank P-1's    |
//   each of these       | shared |  rest  | shared |  rest  |     | shared |  rest  |
//
// A rank copies the shared front of its own part for all, who get it by a gather; the rests of all parts
// every rank copies for itself.  Share 1 (transport `sharded`) leaves no rests, share 0 (`full`) nothing to
// gather. All begin at multiples of 256 bytes.  Parts are alike, or follow the ranks' links (parts.h).
//
// What is shared is copied first: the gather runs while the rests are copied.  Each part has a front, instead
// of the whole having one, so that a rank's own part lies near it whatever the share (placement.h).  The
// rests begin with a rank's own, so that the ranks read from different memory.
#pragma once

#include <cstddef>
#include <vector>

#include "offload/transport/slots.h"

namespace ferry::offload {

// Of what one rank copies for all, up to so many bytes go on to the others when they are there: the gather
// ends one slice after the copy.  An exchange between ranks stands in line behind a slice's copies to
// the others, on H200 21 us each for 4 MiB and 65 us for 16.
inline constexpr std::size_t kSliceBytes = std::size_t{4} << 20;

struct Sharing {
  double share = 0;               // of each part, 0 to 1
  std::vector<double> weights{};  // the sizes of the parts beside each other, by rank; empty: all alike
};

struct Division {
  std::vector<Range> shared;  // by rank: the front of its part
  std::vector<Range> rests;   // by rank: what follows in it
};

// Divides what lies before the end of `wanted` (ascending).  Parts that are alike reach up to the next
// multiple of ranks * 256: no further than the blob's end, where its bytes are one. Throws
// std::invalid_argument unless the share is 0 to 1 and there is a weight for each rank, none negative, not
// all 0.
Division divide(const std::vector<Range>& wanted, const Sharing& sharing, int ranks);

// The share of all wanted bytes that one rank copies, up to rounding.
double copied_share(const Sharing& sharing, int rank, int ranks);

// What one of the ranks copies of `wanted` for itself: the rests, from its own on.
std::vector<Range> rests_of(const std::vector<Range>& wanted, const Division& division, int rank);

// `range` in as many slices as keep each at `slice_bytes`, but at most `most`; of one size but for rounding.
// Throws std::invalid_argument for a range of bytes in no slice.
std::vector<Range> slices_of(const Range& range, std::size_t slice_bytes, std::size_t most);

}  // namespace ferry::offload
