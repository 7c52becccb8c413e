#include "worker/state/stop_request.h"

#include <gtest/gtest.h>

namespace ferry::worker {
namespace {

using Phase = StopRequest::Phase;

TEST(StopRequest, IsGivenUpWhereNothingHasBeenDone) {
  StopRequest stop;
  EXPECT_FALSE(stop.asked());
  stop.ask();
  EXPECT_TRUE(stop.asked());
  EXPECT_TRUE(stop.give_up(false));
  EXPECT_TRUE(stop.give_up(false));
  for (const Phase next : {Phase::NothingDone, Phase::Meeting, Phase::Stoppable})
    EXPECT_FALSE(stop.enter(next));
}

TEST(StopRequest, IsGivenUpAtAMeetingOnlyIfAnotherRankHas) {
  StopRequest stop;
  ASSERT_TRUE(stop.enter(Phase::Meeting));
  EXPECT_FALSE(stop.nothing_done());
  EXPECT_FALSE(stop.give_up(false));
  EXPECT_TRUE(stop.give_up(true));
  EXPECT_FALSE(stop.enter(Phase::Stoppable));
}

TEST(StopRequest, IsAnsweredByTheRunOnceItHasBegun) {
  StopRequest stop;
  for (const Phase phase : {Phase::Stoppable, Phase::Finishing}) {
    ASSERT_TRUE(stop.enter(phase));
    EXPECT_FALSE(stop.give_up(true));
  }
  ASSERT_TRUE(stop.enter(Phase::NothingDone));  // of the next video
  EXPECT_TRUE(stop.give_up(false));
}

}  // namespace
}  // namespace ferry::worker
