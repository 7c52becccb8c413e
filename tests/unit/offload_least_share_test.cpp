// offload/async/least_share.h: blocks of 14B as later forwards bring them.
#include "offload/async/least_share.h"

#include <gtest/gtest.h>

#include <cmath>
#include <stdexcept>

namespace ferry::offload {
namespace {

constexpr std::size_t kBlock = 600'000'000;

ShareFigures figures_of(double gather_gbps, int ranks) {
  return {.block_bytes = kBlock, .together_gbps = 50, .gather_gbps = gather_gbps, .ranks = ranks};
}

TEST(LeastShareThatHides, IsNothingWhereFullHides) {
  const ShareFigures figures = figures_of(400, 2);
  EXPECT_EQ(least_share(figures, 34), 0);
  EXPECT_DOUBLE_EQ(block_ms(figures, 0), 12);
}

// 12 ms over a link, 9 of them in the computing's 10: half of 6 ms have to go.
TEST(LeastShareThatHides, IsJustEnoughForTheLink) {
  const ShareFigures figures = figures_of(400, 2);
  EXPECT_DOUBLE_EQ(least_share(figures, 10), 0.5);
  EXPECT_DOUBLE_EQ(block_ms(figures, 0.5), 9);
}

TEST(LeastShareThatHides, FallsWithTheComputingAndWithTheRanks) {
  double last = 2;
  for (const double compute_ms : {4.0, 6.0, 8.0, 10.0, 12.0, 14.0}) {
    const double share = least_share(figures_of(400, 4), compute_ms);
    EXPECT_LT(share, last) << compute_ms;
    last = share;
  }
  EXPECT_EQ(last, 0);
  EXPECT_GT(least_share(figures_of(400, 2), 9), least_share(figures_of(400, 4), 9));
  EXPECT_GT(least_share(figures_of(400, 4), 9), least_share(figures_of(400, 8), 9));
}

// Where nothing hides: all is shared as long as the gather is not the bound, else what makes both alike.
TEST(LeastShareThatHides, IsTheSoonestWhereNoneHides) {
  const ShareFigures by_link = figures_of(400, 4);
  EXPECT_EQ(least_share(by_link, 1), 1);
  EXPECT_DOUBLE_EQ(block_ms(by_link, 1), 3);
  const ShareFigures by_gather = figures_of(50, 2);
  EXPECT_DOUBLE_EQ(least_share(by_gather, 1), 2.0 / 3.0);
  EXPECT_DOUBLE_EQ(block_ms(by_gather, 2.0 / 3.0), 8);
}

// Links of 50 and 100 GB/s.  Even: 12 ms over the slow one, of which 6 can go.  Parts of 1/3 and 2/3: 8.
TEST(LeastShareThatHides, FollowsPartsOfTheLinks) {
  ShareFigures figures = figures_of(400, 2);
  EXPECT_DOUBLE_EQ(block_ms(figures, 1), 6);
  figures.sum_gbps = 150;
  EXPECT_DOUBLE_EQ(block_ms(figures, 1), 4);
  EXPECT_DOUBLE_EQ(block_ms(figures, 0.5), 8);
  EXPECT_DOUBLE_EQ(block_ms(figures, 0), 12);
  EXPECT_DOUBLE_EQ(least_share(figures, 10), 3.0 / 8.0);
  // Behind the copies a gather waits for a part of them.
  figures.in_slices = false;
  figures.gather_gbps = 50;
  EXPECT_DOUBLE_EQ(block_ms(figures, 1), 4 + 12);
}

// A sum that even links have is no other model.
TEST(LeastShareThatHides, IsTheSameForPartsThatHappenToBeEven) {
  const ShareFigures even = figures_of(400, 4);
  ShareFigures summed = even;
  summed.sum_gbps = 200;
  for (const double share : {0.0, 0.3, 1.0}) EXPECT_DOUBLE_EQ(block_ms(even, share), block_ms(summed, share));
}

// A share that the links need and the gather cannot bring in that time does not hide.
TEST(LeastShareThatHides, LooksAtTheGatherToo) {
  const ShareFigures slow = figures_of(30, 2);
  const double least = least_share(slow, 8);
  EXPECT_DOUBLE_EQ(least, 12.0 / (6 + 20));
  EXPECT_DOUBLE_EQ(block_ms(slow, least), 12 - 6 * least);
}

// A gather behind the copy of what is shared is later than one in slices.
TEST(LeastShareThatHides, WithoutSlicesABlockTakesTheSum) {
  ShareFigures figures = figures_of(150, 4);
  EXPECT_DOUBLE_EQ(block_ms(figures, least_share(figures, 4)), 12 - 9 * 12.0 / 13);
  figures.in_slices = false;
  EXPECT_DOUBLE_EQ(least_share(figures, 4), 12.0 / (9 + 4 + 3));
  EXPECT_DOUBLE_EQ(block_ms(figures, 0.75), 5.25);
}

TEST(LeastShareThatHides, OfOneRankAndOfNothingIsNone) {
  EXPECT_EQ(least_share(figures_of(1, 1), 0), 0);
  EXPECT_EQ(least_share({.together_gbps = 50, .gather_gbps = 1, .ranks = 4}, 0), 0);
}

TEST(LeastShareThatHides, FiguresThatMakeNoSenseAreRefused) {
  EXPECT_THROW(least_share({.together_gbps = 0, .gather_gbps = 1}, 1), std::invalid_argument);
  EXPECT_THROW(least_share({.together_gbps = 1, .gather_gbps = -1}, 1), std::invalid_argument);
  EXPECT_THROW(least_share({.together_gbps = 1, .gather_gbps = 1}, std::nan("")), std::invalid_argument);
  EXPECT_THROW(least_share({.together_gbps = 1, .gather_gbps = 1, .ranks = 0}, 1), std::invalid_argument);
  EXPECT_THROW(block_ms({.together_gbps = 1, .sum_gbps = -1, .gather_gbps = 1}, 1), std::invalid_argument);
  EXPECT_THROW(block_ms({.together_gbps = 0, .gather_gbps = 1}, 1), std::invalid_argument);
}

}  // namespace
}  // namespace ferry::offload
