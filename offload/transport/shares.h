// Division of a block's copies among ranks.
//
//   what a pass wants   |     rank 0's    |     rank 1's    | ... |   rank P-1's    |
//   each of these       | shared |  rest  | shared |  rest  |     | shared |  rest  |
//
// A rank copies the shared front of its own part for all ranks, which receive it by a gather; every rank
// copies the rests of all parts itself.  Share 1 (transport `sharded`) leaves no rests, share 0 (`full`)
// nothing to gather.  All offsets are multiples of 256 bytes.  Parts are even, or follow the ranks' links
// (parts.h).
//
// The shared bytes are copied first: the gather runs while the rests are copied.  Each part has its own
// front, so that a rank's part is in near memory for any share (placement.h).  The rests start with a rank's
// own, so that the ranks read from different memory.
#pragma once

#include <cstddef>
#include <vector>

#include "offload/transport/slots.h"

namespace ferry::offload {

// Slice size: of the bytes that one rank copies for all, each slice is passed on as soon as it is copied, so
// the gather ends one slice after the copy.  An exchange between ranks queues behind a slice's copies to the
// others, on H200 21 us each for 4 MiB and 65 us for 16.  Slices are the smaller the more ranks there are, so
// that a block has as many on any number of them: on two ranks 72 a block of 14B make a step 1.12 times as
// long as 36 do (docs/results).
inline constexpr std::size_t kSliceBytes = std::size_t{16} << 20;  // of all ranks together
constexpr std::size_t slice_bytes_for(int ranks) { return kSliceBytes / static_cast<std::size_t>(ranks); }

struct Sharing {
  double share = 0;               // fraction of each part, 0 to 1
  std::vector<double> weights{};  // relative sizes of the parts, by rank; empty: even
};

struct Division {
  std::vector<Range> shared;  // by rank: the front of its part
  std::vector<Range> rests;   // by rank: the remainder of its part
};

// Divides the bytes before the end of `wanted` (ascending).  Even parts extend to the next multiple of ranks
// * 256: no further than the blob's end if its size is one.  Throws std::invalid_argument unless the share is
// 0 to 1 and there is a weight for each rank, none negative, not all 0.
Division divide(const std::vector<Range>& wanted, const Sharing& sharing, int ranks);

// Fraction of all wanted bytes that one rank copies, up to rounding.
double copied_share(const Sharing& sharing, int rank, int ranks);

// The parts of `wanted` that one rank copies for itself: the rests, starting with its own.
std::vector<Range> rests_of(const std::vector<Range>& wanted, const Division& division, int rank);

// Splits `range` into slices of at most `slice_bytes`, but at most `most` of them; equal sizes up to
// rounding.
// Throws std::invalid_argument for a nonempty range and no slices.
std::vector<Range> slices_of(const Range& range, std::size_t slice_bytes, std::size_t most);

}  // namespace ferry::offload
