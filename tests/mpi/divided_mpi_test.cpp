// Ranks divided into groups, and the numbers that groups claim.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <sstream>
#include <thread>

#include "base/error.h"
#include "parallel/agree.h"
#include "parallel/mpi/claims.h"
#include "tests/support/mpi_fixture.h"

namespace ferry::parallel {
namespace {

class DividedTest : public ::ferry::testing::MpiTest {
 protected:
  void TearDown() override {
    session().divide(1);
    MpiTest::TearDown();
  }
};

TEST_F(DividedTest, EachGroupIsAWorldOfItsOwn) {
  const int ranks = size();
  const int mine = rank();
  session().divide(2);
  const int half = ranks / 2;
  EXPECT_EQ(session().groups(), 2);
  EXPECT_EQ(session().group(), mine / half);
  EXPECT_EQ(session().size(), half);
  EXPECT_EQ(session().rank(), mine % half);
  EXPECT_EQ(session().node_size(), half);
  EXPECT_EQ(session().group_node_size(), half);
  EXPECT_EQ(session().whole_node_size(), ranks);
  EXPECT_EQ(session().node_count(), 1);
  EXPECT_EQ(session().node_index(), 0);
  // Only the first group meets here, and more often than the other.
  for (int i = 0; i < (session().group() == 0 ? 3 : 1); ++i) {
    const std::vector<std::string> all = session().all_gather(std::to_string(mine));
    EXPECT_EQ(all.size(), static_cast<std::size_t>(half));
    EXPECT_EQ(all.front(), std::to_string(mine / half * half));
  }
  const Control shards(session().thread(), session().split(session().rank()));
  EXPECT_EQ(shards.size(), 1);
  EXPECT_EQ(session().everyone().size(), ranks);
  EXPECT_EQ(session().everyone().rank(), mine);
}

TEST_F(DividedTest, AllMeetWhereTheyAreUndivided) {
  const int ranks = size();
  session().divide(2);
  {
    const Session::Undivided together(session());
    EXPECT_EQ(session().size(), ranks);
    EXPECT_EQ(session().all_gather("").size(), static_cast<std::size_t>(ranks));
    EXPECT_EQ(session().group_node_size(), ranks / 2);
  }
  EXPECT_EQ(session().size(), ranks / 2);
}

TEST_F(DividedTest, AnErrorStaysInItsGroup) {
  session().divide(2);
  const auto work = [&] {
    if (session().group() == 1) throw UserError("only here");
  };
  if (session().group() == 1) {
    EXPECT_THROW(agree(session(), work), UserError);
  } else {
    EXPECT_NO_THROW(agree(session(), work));
  }
}

TEST_F(DividedTest, GroupsThatDoNotComeOutEvenAreRefused) {
  EXPECT_THROW(session().divide(3), UserError);
  EXPECT_THROW(session().divide(0), UserError);
  EXPECT_EQ(session().groups(), 1);
}

std::vector<std::int64_t> numbers_of(const std::vector<std::string>& lines) {
  std::vector<std::int64_t> all;
  for (const std::string& line : lines) {
    std::istringstream words(line);
    for (std::int64_t number = 0; words >> number;) all.push_back(number);
  }
  std::sort(all.begin(), all.end());
  return all;
}

TEST_F(DividedTest, EveryNumberIsTakenOnce) {
  constexpr std::int64_t kCount = 40;
  Claims claims(session());
  for (int round = 0; round < 2; ++round) {
    claims.restart();
    std::string mine;
    for (std::int64_t next = claims.take(); next < kCount; next = claims.take()) {
      mine += std::to_string(next) + " ";
      // The first rank is slow: the others take more.
      if (rank() == 0) std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    const std::vector<std::string> all = session().all_gather(mine);
    const std::vector<std::int64_t> taken = numbers_of(all);
    ASSERT_EQ(taken.size(), static_cast<std::size_t>(kCount));
    for (std::int64_t i = 0; i < kCount; ++i) EXPECT_EQ(taken[static_cast<std::size_t>(i)], i);
    EXPECT_LT(numbers_of({all[0]}).size(), static_cast<std::size_t>(kCount / 2));
  }
}

TEST_F(DividedTest, ClosedClaimsGiveNoNumberUntilTheyRestart) {
  Claims claims(session());
  claims.restart();
  EXPECT_LT(claims.take(), size());
  session().barrier();
  if (rank() == size() - 1) claims.close();
  session().barrier();
  EXPECT_GE(claims.take(), Claims::kClosed);
  claims.restart();
  EXPECT_LT(claims.take(), size());
}

}  // namespace
}  // namespace ferry::parallel
