#include "worker/record/record.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ferry::worker {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(Record, PassesOfAStepAreAddedUp) {
  const StreamTimes times{.ms = 21, .ms_by_place = {1, 2.5}, .ms_by_pass = {1, 2, 3, 4, 5, 6}};
  EXPECT_THAT(exposed_of(times, 3).ms_by_step, ElementsAre(3, 7, 11));
  EXPECT_THAT(exposed_of(times, 6).ms_by_step, ElementsAre(1, 2, 3, 4, 5, 6));
  EXPECT_THAT(exposed_of(times, 3).ms_by_block, ElementsAre(1, 2.5));
  EXPECT_EQ(exposed_of(times, 3).ms, 21);
  EXPECT_THAT(exposed_of({}, 3).ms_by_step, IsEmpty()) << "nothing was waited for";
}

RankRecord rank_that_waited(double copy_ms, double exchange_ms) {
  StageRecord denoise;
  denoise.step_s = {1, 1};
  denoise.exposed_copy.ms = copy_ms;
  denoise.exposed_exchange = {.ms = exchange_ms, .ms_by_step = {1, 2}, .ms_by_block = {3}};
  RankRecord rank;
  rank.stages = {StageRecord{}, denoise};
  return rank;
}

TEST(Record, TheRankThatWaitedLongestIsNamedByItsMsPerStep) {
  EXPECT_EQ(
      waits_text({rank_that_waited(5, 8), rank_that_waited(3, 9), rank_that_waited(1, 1)}),
      "compute stood still 2.5 ms a step for weights, 4.5 ms for exchanges (what copies and gathers slow "
      "down is not counted)");
}

TEST(Record, WaitsSurviveTheJson) {
  const RankRecord back = rank_record_from_json(to_json(rank_that_waited(3, 9)));
  const Exposed& exchange = back.stages.at(1).exposed_exchange;
  EXPECT_EQ(back.stages[1].exposed_copy.ms, 3);
  EXPECT_EQ(exchange.ms, 9);
  EXPECT_THAT(exchange.ms_by_step, ElementsAre(1, 2));
  EXPECT_THAT(exchange.ms_by_block, ElementsAre(3));
}

}  // namespace
}  // namespace ferry::worker
