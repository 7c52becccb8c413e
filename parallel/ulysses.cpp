#include "parallel/ulysses.h"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>
#include <vector>

namespace ferry::parallel {

namespace {

std::vector<std::size_t> sizes(const HeadSplit& split, std::size_t bytes) {
  std::vector<std::size_t> of_ranks;
  for (int rank = 0; rank < split.ranks(); ++rank) {
    of_ranks.push_back(static_cast<std::size_t>(split.of(rank).count) * bytes);
  }
  return of_ranks;
}

}  // namespace

HeadSplit::HeadSplit(std::int64_t heads, int ranks) : heads_(heads), ranks_(ranks) {
  if (ranks >= 1 && heads >= ranks) return;
  throw std::invalid_argument(fmt::format("HeadSplit: {} heads on {} ranks", heads, ranks));
}

Pieces HeadSplit::to_heads(std::size_t bytes) const { return Pieces::by_receiver(sizes(*this, bytes)); }

Pieces HeadSplit::to_tokens(std::size_t bytes) const { return Pieces::by_sender(sizes(*this, bytes)); }

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
