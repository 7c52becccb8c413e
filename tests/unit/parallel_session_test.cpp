// How ranks end: whatever one of them does, all are down soon and mpirun's exit code says so.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <string>

#include "base/clock.h"

namespace ferry::parallel {
namespace {

using ::testing::HasSubstr;

struct Ended {
  int exit_code = -1;
  std::string output;
  double seconds = 0;
};

Ended run(const std::string& command) {
  const Clock::time_point begin = Clock::now();
  Ended ended;
  FILE* pipe = ::popen((command + " 2>&1").c_str(), "r");
  std::array<char, 4096> line = {};
  while (std::fgets(line.data(), line.size(), pipe) != nullptr) ended.output += line.data();
  const int status = ::pclose(pipe);
  ended.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  ended.seconds = seconds_since(begin);
  return ended;
}

Ended run_ranks(int ranks, const std::string& how) {
  return run(FERRY_MPIEXEC " -n " + std::to_string(ranks) + " " FERRY_SESSION_PROGRAM " " + how);
}

// Far below the minute that the planted hang lasts, far above a start on a busy machine.
constexpr double kSoon_s = 30;

TEST(Session, EndsCleanlyWithAndWithoutMpirun) {
  for (const Ended& ended :
       {run_ranks(1, "finish"), run_ranks(3, "finish"), run(FERRY_SESSION_PROGRAM " finish")}) {
    EXPECT_EQ(ended.exit_code, 0) << ended.output;
    EXPECT_THAT(ended.output, HasSubstr("all ranks finished"));
  }
}

TEST(Session, ALateRankIsWaitedForAtTheEnd) {
  const Ended ended = run_ranks(2, "late");
  EXPECT_EQ(ended.exit_code, 0) << ended.output;
  EXPECT_GE(ended.seconds, 1.0);
}

TEST(Session, AFailedRankBringsAllDownWithItsCodeAndReason) {
  const Ended ended = run_ranks(3, "throw");
  EXPECT_EQ(ended.exit_code, 7) << ended.output;
  EXPECT_THAT(ended.output, HasSubstr("rank 2 on"));
  EXPECT_THAT(ended.output, HasSubstr("planted failure"));
  EXPECT_LT(ended.seconds, kSoon_s);
}

TEST(Session, OneRankThatFailsSaysWhyAndNothingElse) {
  const Ended ended = run(FERRY_SESSION_PROGRAM " throw");
  EXPECT_EQ(ended.exit_code, 7) << ended.output;
  EXPECT_THAT(ended.output, HasSubstr("planted failure"));
  EXPECT_EQ(std::count(ended.output.begin(), ended.output.end(), '\n'), 1) << ended.output;
}

TEST(Session, RanksThatWaitInAnExchangeGoDownToo) {
  const Ended ended = run_ranks(2, "throw_mid_exchange");
  EXPECT_EQ(ended.exit_code, 7) << ended.output;
  EXPECT_LT(ended.seconds, kSoon_s);
}

TEST(Session, AKilledRankBringsAllDown) {
  const Ended ended = run_ranks(2, "die");
  EXPECT_NE(ended.exit_code, 0) << ended.output;
  EXPECT_LT(ended.seconds, kSoon_s);
}

TEST(Session, ARankThatHangsIsGivenUpAfterTheDeadline) {
  const Ended ended = run_ranks(2, "hang");
  EXPECT_EQ(ended.exit_code, 7) << ended.output;
  EXPECT_THAT(ended.output, HasSubstr("longer than 2 s"));
  EXPECT_GE(ended.seconds, 2.0);
  EXPECT_LT(ended.seconds, kSoon_s);
}

TEST(Session, ARankThatShowsSignsOfLifeIsWaitedForBeyondTheDeadline) {
  const Ended ended = run_ranks(3, "work");
  EXPECT_EQ(ended.exit_code, 0) << ended.output;
  EXPECT_GE(ended.seconds, 4.8);  // the deadline is 2 s
}

TEST(Session, AnExceptionThatLeavesItsScopeLeavesNoRankBehind) {
  const Ended ended = run_ranks(2, "leave_scope");
  EXPECT_NE(ended.exit_code, 0) << ended.output;
  EXPECT_LT(ended.seconds, kSoon_s);
}

}  // namespace
}  // namespace ferry::parallel
