#include "model/dit/row_plan.h"

#include <gtest/gtest.h>

#include "model/kernels/attention.h"

namespace ferry::model {
namespace {

constexpr std::int64_t kTiles = 132;  // of an H100 or H200

std::int64_t rounds(std::int64_t rows, std::int64_t heads) {
  const std::int64_t tiles = (rows + kernels::kTileQueries - 1) / kernels::kTileQueries * heads;
  return (tiles + kTiles - 1) / kTiles;
}

void expect_covers(const RowCase& row_case, const RowPlan& plan) {
  EXPECT_EQ(plan.first + plan.middle + plan.last, row_case.rows);
  EXPECT_LE(plan.first + plan.last, row_case.own) << "others' rows have to travel";
  EXPECT_GE(plan.first, 0);
  EXPECT_GE(plan.last, 0);
}

// 832x480 at 29 and 81 frames, 40 and 12 heads.
TEST(RowPlan, TakesNoMoreThanOneRoundMoreThanAllRowsAtOnce) {
  for (const std::int64_t tokens : {12480, 32760}) {
    for (const std::int64_t heads : {40, 12}) {
      for (const std::int64_t ranks : {2, 4}) {
        const RowCase row_case{
            .rows = tokens, .own = tokens / ranks, .heads = heads / ranks, .tiles = kTiles};
        const RowPlan plan = plan_rows(row_case);
        expect_covers(row_case, plan);
        EXPECT_GT(plan.first, 0);
        EXPECT_GT(plan.last, 0);
        const std::int64_t taken = rounds(plan.first, row_case.heads) + rounds(plan.middle, row_case.heads) +
                                   rounds(plan.last, row_case.heads);
        EXPECT_LE(taken, rounds(tokens, row_case.heads) + 1) << tokens << ", " << heads << ", " << ranks;
      }
    }
  }
}

TEST(RowPlan, FillsItsRounds) {
  // 20 heads: 6 tiles of rows a round.  98 tiles of rows take 15 rounds at once; so do 6, 79 and 13.
  EXPECT_EQ(plan_rows({.rows = 12480, .own = 6240, .heads = 20, .tiles = kTiles}),
            (RowPlan{.middle = 12480 - 6 * 128 - 13 * 128, .last = 13 * 128, .first = 6 * 128}));
}

TEST(RowPlan, OfFewRowsAndOnTheCpu) {
  for (const std::int64_t tiles : {std::int64_t{0}, kTiles}) {
    for (const std::int64_t own : {1, 2, 3, 5, 130}) {
      const RowCase row_case{.rows = 3 * own, .own = own, .heads = 2, .tiles = tiles};
      expect_covers(row_case, plan_rows(row_case));
    }
  }
  EXPECT_EQ(plan_rows({.rows = 24, .own = 8, .heads = 2, .tiles = 0}),
            (RowPlan{.middle = 20, .last = 2, .first = 2}));
}

}  // namespace
}  // namespace ferry::model
