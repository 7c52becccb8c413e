// parallel/mpi/session.h and parallel/mpi/control.h on real ranks.
#include <gtest/gtest.h>

#include "base/clock.h"
#include "base/error.h"
#include "tests/support/mpi_fixture.h"

namespace ferry::parallel {
namespace {

using SessionTest = ferry::testing::MpiTest;

TEST_F(SessionTest, RanksOfOneHostAreOneNode) {
  EXPECT_EQ(session().node_count(), 1);
  EXPECT_EQ(session().node_index(), 0);
  EXPECT_EQ(session().node_size(), size());
  EXPECT_EQ(session().node_rank(), rank());
}

TEST_F(SessionTest, BroadcastGivesAnyTextOfAnyRoot) {
  for (int root = 0; root < size(); ++root) {
    const std::string mine = std::string(3, '\0') + "from " + std::to_string(rank());
    EXPECT_EQ(session().broadcast(mine, root), std::string(3, '\0') + "from " + std::to_string(root));
  }
  EXPECT_EQ(session().broadcast("", 0), "");
  const std::string large(5000001, 'x');
  EXPECT_EQ(session().broadcast(rank() == 0 ? large : "", 0), large);
  EXPECT_THROW(session().broadcast("", size()), std::invalid_argument);
  EXPECT_THROW(session().broadcast("", -1), std::invalid_argument);
}

TEST_F(SessionTest, AllGatherKeepsLengthsApart) {
  const auto all = session().all_gather(std::string(static_cast<std::size_t>(rank()) * 70001, 'a' + rank()));
  ASSERT_EQ(all.size(), static_cast<std::size_t>(size()));
  for (int r = 0; r < size(); ++r) {
    EXPECT_EQ(all[r], std::string(static_cast<std::size_t>(r) * 70001, 'a' + r));
  }
  EXPECT_EQ(session().node().all_gather(std::to_string(rank())).back(), std::to_string(size() - 1));
}

TEST_F(SessionTest, AllAgreeNeedsEveryRank) {
  EXPECT_TRUE(session().all_agree(true));
  EXPECT_FALSE(session().all_agree(rank() != size() - 1));
  EXPECT_FALSE(session().all_agree(rank() != 0));
  EXPECT_EQ(session().world().max(rank()), size() - 1);
}

TEST_F(SessionTest, SplitMakesOneCommunicatorForEachColor) {
  Control half(session().thread(), session().split(rank() % 2));
  EXPECT_EQ(half.size(), (size() + 1 - rank() % 2) / 2);
  EXPECT_EQ(half.rank(), rank() / 2);
  EXPECT_EQ(half.all_gather(std::to_string(rank())).front(), std::to_string(rank() % 2));
}

TEST_F(SessionTest, AWaitThatOutlastsItsDeadlineIsAnError) {
  // One that cannot come: a message nobody sends, waited for on a thread of its own.
  CommThread thread(0.2, MPI_COMM_WORLD);
  session().barrier();
  const Clock::time_point begin = Clock::now();
  auto request = std::make_shared<MPI_Request>(MPI_REQUEST_NULL);
  auto word = std::make_shared<int>(0);
  const auto wait = [&thread, request, word] {
    MPI_Irecv(word.get(), 1, MPI_INT, MPI_ANY_SOURCE, 12345, MPI_COMM_SELF, request.get());
    thread.wait_all({request.get(), 1}, "a message");
  };
  EXPECT_THROW(thread.run(wait), Error);
  EXPECT_GE(seconds_since(begin), 0.2);
  EXPECT_LT(seconds_since(begin), 5);
  MPI_Cancel(request.get());
  MPI_Wait(request.get(), MPI_STATUS_IGNORE);
}

TEST_F(SessionTest, WaitingLeavesTheCoreToOthers) {
  // The last rank is a second late; the others' threads may not spend that in a spin.
  session().barrier();
  if (rank() == size() - 1) std::this_thread::sleep_for(std::chrono::seconds(1));
  struct timespec before = {};
  struct timespec after = {};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
  session().barrier();
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
  const double busy =
      static_cast<double>(after.tv_sec - before.tv_sec) + 1e-9 * (after.tv_nsec - before.tv_nsec);
  // A spin would take 1 s of processor time, a tenth of that on a crowded machine; sleeping takes 0.02 s.
  EXPECT_LT(busy, 0.07);
  RecordProperty("busy_ms", static_cast<int>(busy * 1e3));
}

}  // namespace
}  // namespace ferry::parallel
