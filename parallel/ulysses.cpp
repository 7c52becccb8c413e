#include "parallel/ulysses.h"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

namespace ferry::parallel {

Shard shard_of(std::int64_t tokens, int ranks, int rank) {
  if (tokens < 1 || ranks < 1 || rank < 0 || rank >= ranks) {
    throw std::invalid_argument(fmt::format("shard_of: {} tokens, rank {} of {}", tokens, rank, ranks));
  }
  Shard shard;
  shard.tokens = tokens;
  shard.per_rank = (tokens + ranks - 1) / ranks;
  shard.padded = shard.per_rank * ranks;
  shard.begin = shard.per_rank * rank;
  shard.real = std::clamp<std::int64_t>(tokens - shard.begin, 0, shard.per_rank);
  return shard;
}

}  // namespace ferry::parallel
