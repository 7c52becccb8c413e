// The exchange of DeepSpeed-Ulysses (arXiv:2309.14509): sequence shards become head shards and back.
//
// Bytes only: an element here is one head of one token, `head_bytes` = head_dim * sizeof(dtype).
// "Destination-major" means that what one rank receives is one contiguous piece, so that the exchange is a
// plain all-to-all; the kernels before and after it write and read that order directly.
//
//   tokens   [s, H, D]          s = S / P tokens of this rank, all heads
//   packed   [P, s, H/P, D]     piece j goes to rank j
//   heads    [S, H/P, D]        all tokens in natural order, this rank's heads
#pragma once

#include <cstddef>
#include <cstdint>

namespace ferry::parallel {

// Where token t (0..s-1), head h (0..heads-1) of `tokens` stands in `packed`, in units of one head.
inline std::int64_t packed_index(std::int64_t t, std::int64_t h, std::int64_t s, std::int64_t heads,
                                 std::int64_t ranks) {
  const std::int64_t per = heads / ranks;
  return ((h / per) * s + t) * per + h % per;
}

struct Shard {
  std::int64_t tokens = 0;    // real tokens of the whole sequence, L
  std::int64_t padded = 0;    // S = ceil(L / P) * P
  std::int64_t per_rank = 0;  // s = S / P
  std::int64_t begin = 0;     // first token of this rank
  std::int64_t real = 0;      // real tokens of this rank (the rest of per_rank is padding)
};

// The contiguous share of `rank` of a sequence of `tokens`, padded up so that `ranks` divides it.
Shard shard_of(std::int64_t tokens, int ranks, int rank);

}  // namespace ferry::parallel
