// offload/least_share.h: blocks of 14B as later forwards bring them.
#include "offload/least_share.h"

#include <gtest/gtest.h>

#include <cmath>
#include <stdexcept>

namespace ferry::offload {
namespace {

constexpr std::size_t kBlock = 600'000'000;

TEST(LeastShareThatHides, IsNothingWhereFullHides) {
  const LeastShare least = least_share(
      {.block_bytes = kBlock, .together_gbps = 50, .gather_gbps = 400, .compute_ms = 34, .ranks = 2});
  EXPECT_EQ(least.share, 0);
  EXPECT_DOUBLE_EQ(least.block_ms, 12);
  EXPECT_TRUE(least.hides);
}

// 12 ms over a link, 9 of them in the computing's 10: half of 6 ms have to go.
TEST(LeastShareThatHides, IsJustEnoughForTheLink) {
  const LeastShare least = least_share(
      {.block_bytes = kBlock, .together_gbps = 50, .gather_gbps = 400, .compute_ms = 10, .ranks = 2});
  EXPECT_DOUBLE_EQ(least.share, 0.5);
  EXPECT_DOUBLE_EQ(least.block_ms, 9);
  EXPECT_TRUE(least.hides);
}

TEST(LeastShareThatHides, FallsWithTheComputingAndWithTheRanks) {
  double last = 2;
  for (const double compute_ms : {4.0, 6.0, 8.0, 10.0, 12.0, 14.0}) {
    const double share = least_share({.block_bytes = kBlock,
                                      .together_gbps = 50,
                                      .gather_gbps = 400,
                                      .compute_ms = compute_ms,
                                      .ranks = 4})
                             .share;
    EXPECT_LT(share, last) << compute_ms;
    last = share;
  }
  EXPECT_EQ(last, 0);
  const auto of_ranks = [](int ranks) {
    return least_share({.block_bytes = kBlock,
                        .together_gbps = 50,
                        .gather_gbps = 400,
                        .compute_ms = 9,
                        .ranks = ranks})
        .share;
  };
  EXPECT_GT(of_ranks(2), of_ranks(4));
  EXPECT_GT(of_ranks(4), of_ranks(8));
}

// Where nothing hides: all is shared as long as the gather is not the bound, else what makes both alike.
TEST(LeastShareThatHides, IsTheSoonestWhereNoneHides) {
  const LeastShare by_link = least_share(
      {.block_bytes = kBlock, .together_gbps = 50, .gather_gbps = 400, .compute_ms = 1, .ranks = 4});
  EXPECT_EQ(by_link.share, 1);
  EXPECT_DOUBLE_EQ(by_link.block_ms, 3);
  EXPECT_FALSE(by_link.hides);
  const LeastShare by_gather = least_share(
      {.block_bytes = kBlock, .together_gbps = 50, .gather_gbps = 50, .compute_ms = 1, .ranks = 2});
  EXPECT_DOUBLE_EQ(by_gather.share, 2.0 / 3.0);
  EXPECT_DOUBLE_EQ(by_gather.block_ms, 8);
  EXPECT_FALSE(by_gather.hides);
}

// A share that the links need and the gather cannot bring in that time does not hide.
TEST(LeastShareThatHides, LooksAtTheGatherToo) {
  const ShareFigures slow{
      .block_bytes = kBlock, .together_gbps = 50, .gather_gbps = 30, .compute_ms = 8, .ranks = 2};
  const LeastShare least = least_share(slow);
  EXPECT_FALSE(least.hides);
  EXPECT_DOUBLE_EQ(least.share, 12.0 / (6 + 20));
  EXPECT_DOUBLE_EQ(least.block_ms, 12 - 6 * least.share);
}

// A gather behind the copy of what is shared is later than one in slices.
TEST(LeastShareThatHides, WithoutSlicesABlockTakesTheSum) {
  ShareFigures figures{
      .block_bytes = kBlock, .together_gbps = 50, .gather_gbps = 150, .compute_ms = 4, .ranks = 4};
  EXPECT_DOUBLE_EQ(least_share(figures).block_ms, 12 - 9 * 12.0 / 13);
  figures.in_slices = false;
  const LeastShare whole = least_share(figures);
  EXPECT_DOUBLE_EQ(whole.share, 12.0 / (9 + 4 + 3));
  EXPECT_DOUBLE_EQ(whole.block_ms, 5.25);
}

TEST(LeastShareThatHides, OfOneRankAndOfNothingIsNone) {
  EXPECT_EQ(least_share({.block_bytes = kBlock, .together_gbps = 50, .gather_gbps = 1, .ranks = 1}).share, 0);
  EXPECT_EQ(least_share({.together_gbps = 50, .gather_gbps = 1, .ranks = 4}).share, 0);
}

TEST(LeastShareThatHides, FiguresThatMakeNoSenseAreRefused) {
  for (const ShareFigures& wrong :
       {ShareFigures{.together_gbps = 0, .gather_gbps = 1},
        ShareFigures{.together_gbps = 1, .gather_gbps = -1},
        ShareFigures{.together_gbps = 1, .gather_gbps = 1, .compute_ms = std::nan("")},
        ShareFigures{.together_gbps = 1, .gather_gbps = 1, .ranks = 0}}) {
    EXPECT_THROW(least_share(wrong), std::invalid_argument);
  }
}

}  // namespace
}  // namespace ferry::offload
