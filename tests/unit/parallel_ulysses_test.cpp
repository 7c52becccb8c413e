// parallel/ulysses.h and parallel/pieces.h.
#include "parallel/ulysses.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <stdexcept>

namespace ferry::parallel {
namespace {

TEST(Shard, SharesCoverTheSequenceOnceAndPaddingComesLast) {
  for (const std::int64_t tokens : {1, 2, 3, 7, 8, 31, 32760}) {
    for (const int ranks : {1, 2, 3, 4, 8}) {
      std::int64_t covered = 0;
      for (int rank = 0; rank < ranks; ++rank) {
        const Shard shard = shard_of(tokens, ranks, rank);
        ASSERT_EQ(shard.padded, shard.per_rank * ranks);
        ASSERT_GE(shard.padded, tokens);
        ASSERT_LT(shard.padded, tokens + ranks);
        ASSERT_EQ(shard.begin, rank * shard.per_rank);
        ASSERT_EQ(std::min(shard.begin, tokens), covered);  // real tokens are contiguous over the ranks
        covered += shard.real;
      }
      ASSERT_EQ(covered, tokens) << ranks;
    }
  }
}

TEST(Shard, ARankMayHoldOnlyPadding) {
  EXPECT_EQ(shard_of(5, 4, 3).real, 0);  // 2 + 2 + 1 + 0
  EXPECT_EQ(shard_of(5, 4, 2).real, 1);
  EXPECT_THROW(shard_of(0, 1, 0), std::invalid_argument);
  EXPECT_THROW(shard_of(5, 2, 2), std::invalid_argument);
}

TEST(HeadSplit, EveryHeadIsOnOneRankAndTheFirstRanksHaveOneMore) {
  for (const std::int64_t heads : {1, 2, 5, 12, 40}) {
    for (int ranks = 1; ranks <= heads; ++ranks) {
      const HeadSplit split(heads, ranks);
      std::int64_t next = 0;
      for (int rank = 0; rank < ranks; ++rank) {
        const Part part = split.of(rank);
        ASSERT_EQ(part.begin, next);
        ASSERT_EQ(part.count, heads / ranks + (rank < heads % ranks ? 1 : 0));
        next += part.count;
      }
      ASSERT_EQ(next, heads) << ranks;
      ASSERT_EQ(split.most(), (heads + ranks - 1) / ranks);
      ASSERT_EQ(split.fewest(), heads / ranks);
    }
  }
  EXPECT_THROW(HeadSplit(4, 5), std::invalid_argument);
  EXPECT_THROW(HeadSplit(4, 0), std::invalid_argument);
}

// What a rank sends lies behind one another without a gap, and so does what it receives.
void expect_dense(const Pieces& pieces, int ranks) {
  for (int rank = 0; rank < ranks; ++rank) {
    std::size_t sent = 0;
    std::size_t received = 0;
    for (int peer = 0; peer < ranks; ++peer) {
      EXPECT_EQ(pieces.place_sent(rank, peer), sent) << rank << " to " << peer;
      EXPECT_EQ(pieces.place_received(peer, rank), received) << peer << " to " << rank;
      sent += pieces.bytes(rank, peer);
      received += pieces.bytes(peer, rank);
    }
  }
}

TEST(Pieces, OfAReceiverOrOfASender) {
  const Pieces there = Pieces::by_receiver({3, 0, 5});
  EXPECT_EQ(there.bytes(0, 2), 5U);
  EXPECT_EQ(there.bytes(2, 0), 3U);
  EXPECT_EQ(there.largest(), 5U);
  EXPECT_FALSE(there.even());
  expect_dense(there, 3);
  const Pieces back = Pieces::by_sender({3, 0, 5});
  EXPECT_EQ(back.bytes(0, 2), 3U);
  EXPECT_EQ(back.bytes(2, 0), 5U);
  expect_dense(back, 3);
  EXPECT_NO_THROW(there.check(3));
  EXPECT_THROW(there.check(2), std::invalid_argument);
}

TEST(Pieces, EqualOnesAreEven) {
  for (const Pieces& pieces : {Pieces(7), Pieces::by_receiver({7, 7, 7}), Pieces::by_sender({7, 7, 7})}) {
    EXPECT_TRUE(pieces.even());
    EXPECT_EQ(pieces.bytes(2, 1), 7U);
    EXPECT_EQ(pieces.largest(), 7U);
    expect_dense(pieces, 3);
  }
  EXPECT_THROW(Pieces::by_sender({}), std::invalid_argument);
}

TEST(Pieces, OwnLastTurnsTheSideOfEqualPieces) {
  const Pieces there = Pieces::by_receiver({3, 4, 5}).own_last(3);
  // Rank 1 gets those of 2, 0 and 1, and sends in the order of the ranks.
  EXPECT_EQ(there.place_received(2, 1), 0U);
  EXPECT_EQ(there.place_received(0, 1), 4U);
  EXPECT_EQ(there.place_received(1, 1), 8U);
  EXPECT_EQ(there.place_sent(1, 2), 7U);
  const Pieces back = Pieces::by_sender({3, 4, 5}).own_last(3);
  EXPECT_EQ(back.place_sent(1, 2), 0U);
  EXPECT_EQ(back.place_sent(1, 0), 4U);
  EXPECT_EQ(back.place_sent(1, 1), 8U);
  EXPECT_EQ(back.place_received(2, 1), 7U);
  const Pieces even = Pieces(6).own_last(4);
  EXPECT_EQ(even.place_received(3, 3), 18U);
  EXPECT_EQ(even.place_received(0, 3), 0U);
  EXPECT_TRUE(even.even());
  EXPECT_FALSE(even.plain());
  EXPECT_NO_THROW(even.check(4));
  EXPECT_THROW(even.check(3), std::invalid_argument);
  EXPECT_FALSE(Pieces(6).without_own().plain());
  EXPECT_TRUE(Pieces(6).plain());
}

TEST(HeadSplit, AnExchangeThereAndBackMovesEachRanksHeads) {
  const HeadSplit split(12, 5);  // 3 3 2 2 2
  EXPECT_EQ(split.to_heads(10).bytes(4, 0), 30U);
  EXPECT_EQ(split.to_heads(10).bytes(0, 4), 20U);
  EXPECT_EQ(split.to_tokens(10).bytes(4, 0), 20U);
  EXPECT_EQ(split.to_tokens(10).bytes(0, 4), 30U);
  EXPECT_TRUE(HeadSplit(12, 4).to_heads(10).even());
}

}  // namespace
}  // namespace ferry::parallel
