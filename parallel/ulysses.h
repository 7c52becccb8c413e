// The exchange of DeepSpeed-Ulysses (arXiv:2309.14509): sequence shards become head shards and back.
//
// Of H heads rank r of P has h_r, floor or ceil of H / P, one more on the first ranks. "Destination-major"
// order makes the data for each rank contiguous, so that the exchange is a plain all-to-all; the kernels
// before and after it write and read that order directly.
//
//   tokens   [s, H, D]                       s = S / P tokens of this rank, all heads
//   packed   [s, h_0, D] [s, h_1, D] ...     piece r goes to rank r, or came from it
//   heads    [S, h, D]                       all tokens in natural order, this rank's heads
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/even_part.h"
#include "parallel/pieces.h"

namespace ferry::parallel {

// Distribution of the heads over `ranks` ranks.
class HeadSplit {
 public:
  // Throws std::invalid_argument if a rank would have none.
  HeadSplit(std::int64_t heads, int ranks);

  std::int64_t heads() const { return heads_; }
  int ranks() const { return ranks_; }
  Part of(int rank) const { return even_part(heads_, ranks_, rank); }
  std::int64_t most() const { return of(0).count; }
  std::int64_t fewest() const { return of(ranks_ - 1).count; }

  // Pieces of the exchange from packed to heads, and back; `bytes` is the size of one head of a rank's s
  // tokens.
  Pieces to_heads(std::size_t bytes) const;
  Pieces to_tokens(std::size_t bytes) const;

 private:
  std::int64_t heads_;
  int ranks_;
};

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
