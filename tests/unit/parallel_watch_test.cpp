// Which rank is to blame, and that the job then goes down.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <functional>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "base/error.h"
#include "parallel/patience.h"
#include "parallel/watch/judge.h"
#include "parallel/watch/watchdog.h"

namespace ferry::parallel {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::HasSubstr;

constexpr double kDeadline_s = 10;
const Clock::time_point kNow = Clock::time_point(seconds(1000));
const Clock::time_point kLongAgo = Clock::time_point(seconds(1));

// A rank in step 3 of denoising that gets on.
Seen working(int rank) {
  Seen seen;
  seen.rank = rank;
  seen.where = {.stage = Stage::Denoise, .step = 3, .block = 5};
  seen.tick = seen.beat = kNow;
  return seen;
}

Seen waiting(int rank, seconds since) {
  Seen seen = working(rank);
  seen.where.stage = Stage::Exchange;
  seen.tick = kNow - since;
  seen.waits = true;
  return seen;
}

Seen stopped(int rank, seconds since) {
  Seen seen = working(rank);
  seen.tick = seen.beat = kNow - since;
  return seen;
}

std::optional<Verdict> verdict(const std::vector<Seen>& ranks, Clock::time_point resumed = kLongAgo) {
  return judge(ranks, kNow, resumed, kDeadline_s);
}

TEST(Judge, ARankThatWaitsForOneThatGetsOnIsNotLate) {
  EXPECT_EQ(verdict({working(0), waiting(1, seconds(500))}), std::nullopt);
}

TEST(Judge, AStoppedRankIsBlamedAfterTheDeadlineAndNotThoseThatWaitForIt) {
  EXPECT_EQ(verdict({waiting(0, seconds(8)), stopped(1, seconds(9))}), std::nullopt);
  EXPECT_EQ(verdict({waiting(0, seconds(11)), stopped(1, seconds(11)), waiting(2, seconds(11))}),
            (Verdict{Trouble::Stopped, 1}));
}

// On a GPU the host does not know that what it waits for is another rank.
TEST(Judge, AStoppedRankIsBlamedThoughTheOthersHaveBeenLateForLonger) {
  Seen stuck = working(0);
  stuck.tick = kNow - seconds(11);
  EXPECT_EQ(verdict({stuck, stopped(1, seconds(5))}), (Verdict{Trouble::Stopped, 1}));
}

TEST(Judge, ARankThatHangsAndDoesNotWaitIsStuck) {
  Seen stuck = working(0);
  stuck.tick = kNow - seconds(11);
  EXPECT_EQ(verdict({stuck, waiting(1, seconds(11))}), (Verdict{Trouble::Stuck, 0}));
}

TEST(Judge, WhereAllWaitTheLeastAdvancedIsBlamed) {
  Seen behind = waiting(1, seconds(11));
  behind.where.block = 4;
  EXPECT_EQ(verdict({waiting(0, seconds(11)), behind, waiting(2, seconds(12))}),
            (Verdict{Trouble::Standstill, 1}));
  EXPECT_EQ(verdict({waiting(0, seconds(11)), behind, waiting(2, seconds(9))}), std::nullopt);
}

TEST(Judge, AGroupThatStandsIsBlamedThoughAnotherGetsOn) {
  std::vector<Seen> ranks = {working(0), waiting(1, seconds(1)), waiting(2, seconds(11)),
                             waiting(3, seconds(12))};
  EXPECT_EQ(verdict(ranks), std::nullopt) << "they may wait for rank 0";
  for (Seen& rank : ranks) rank.group = 1 + rank.rank / 2;
  EXPECT_EQ(verdict(ranks), (Verdict{Trouble::Standstill, 3}));
  // Done, they wait for the other group.
  for (const std::size_t i : {2U, 3U}) ranks[i].group = 0;
  EXPECT_EQ(verdict(ranks), std::nullopt);
}

TEST(Judge, ADeadRankIsBlamedAtOnce) {
  Seen dead = stopped(1, seconds(0));
  dead.gone = true;
  EXPECT_EQ(verdict({stopped(0, seconds(20)), dead}), (Verdict{Trouble::Gone, 1}));
}

TEST(Judge, ARankThatHasLeftIsNotLate) {
  Seen left = stopped(1, seconds(20));
  left.left = true;
  EXPECT_EQ(verdict({working(0), left}), std::nullopt);
}

TEST(Judge, BeforeTheFirstStageOnlySilenceCounts) {
  Seen starts = working(0);
  starts.where = {};
  starts.tick = kNow - seconds(20);
  EXPECT_EQ(verdict({starts}), std::nullopt);
  starts.beat = starts.tick;
  EXPECT_EQ(verdict({starts}), (Verdict{Trouble::Stopped, 0}));
}

// Ctrl-Z: all ranks were suspended, and one is a little later to go on.
TEST(Judge, TimeInWhichTheJudgeWasSuspendedDoesNotCount) {
  const std::vector<Seen> ranks = {working(0), stopped(1, seconds(60))};
  EXPECT_EQ(verdict(ranks, kNow - seconds(9)), std::nullopt);
  EXPECT_EQ(verdict(ranks, kNow - seconds(11)), (Verdict{Trouble::Stopped, 1}));
}

TEST(Report, NamesRankHostPlaceTimeAndMemory) {
  Seen rank = stopped(3, seconds(12));
  rank.device_free = std::size_t{3} << 29;
  const std::string text = report(rank, Trouble::Stopped, "node7", kNow);
  EXPECT_THAT(text, HasSubstr("rank 3 on node7 has stopped: denoise, step 3, block 5; "));
  EXPECT_THAT(text, HasSubstr("12.0 s"));
  EXPECT_THAT(text, HasSubstr("device 1.5 GiB"));
}

TEST(Where, KeepsItsValuesInOneWord) {
  for (const Where& where : {Where{}, Where{Stage::Write, 0, -1}, Where{Stage::Gather, 1000, 39}}) {
    EXPECT_EQ(unpacked(packed(where)), where);
  }
}

TEST(PlantedFault, IsOfOneRankAndOneStage) {
  EXPECT_FALSE(planted_fault("", 1));
  EXPECT_FALSE(planted_fault("throw:0:text", 1));
  const auto fault = planted_fault("throw:1:denoise:3", 1);
  ASSERT_TRUE(fault);
  fault->meet({Stage::Denoise, 2, 1});
  fault->meet({Stage::Gather, 3, 1});
  EXPECT_THROW(fault->meet({Stage::Denoise, 3, 1}), Error);
  for (const char* bad :
       {"throw", "throw:1", "throw:x:text", "burn:1:text", "throw:1:lunch", "stop:1:text:2:3"})
    EXPECT_THROW(planted_fault(bad, 1), UserError) << bad;
}

// The board of two ranks in memory that a child process shares.
Board shared_board() {
  const std::size_t bytes = Board::bytes(2);
  void* const memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  return {std::shared_ptr<void>(memory, [bytes](void* own) { ::munmap(own, bytes); }), {0, 1}};
}

// This process, rank 0, beside a child, rank 1, that is at `where`.
class BesideAChild : public ::testing::Test {
 protected:
  void start(const Where& where) {
    child_ = ::fork();
    if (child_ == 0) {
      board_.enter(1);
      Ticks(board_, 1, std::nullopt).at(where);
      while (true) {
        board_.place(1).beat = Clock::now().time_since_epoch().count();
        ::usleep(10'000);
      }
    }
    board_.enter(0);
    while (board_.place(1).process == 0) std::this_thread::sleep_for(milliseconds(1));
    board_.look_around();
  }
  ~BesideAChild() override {
    if (child_ <= 0) return;
    ::kill(child_, SIGKILL);
    ::waitpid(child_, nullptr, 0);
  }

  std::unique_ptr<Watchdog> watch(double deadline_s) {
    return std::make_unique<Watchdog>(
        WatchSetup{.board = board_,
                   .index = 0,
                   .hosts = std::vector<std::string>(static_cast<std::size_t>(board_.size()), "here"),
                   .fault = std::nullopt,
                   .deadline_s = deadline_s,
                   .end = [this](int code) { ended_ = code; },
                   .all_is_well = [this] { ++well_; }});
  }
  // Waits for a condition, half a minute at most.
  static bool until(const std::function<bool()>& is) {
    Patience patience(30);
    while (!is() && !patience.over()) std::this_thread::sleep_for(milliseconds(5));
    return is();
  }

  Board board_ = shared_board();
  pid_t child_ = 0;
  std::atomic<int> ended_ = 0;
  std::atomic<int> well_ = 0;
};

TEST_F(BesideAChild, ADeadRankIsReportedOnceAndEndsTheJob) {
  start({Stage::Text, 0, -1});
  ::testing::internal::CaptureStderr();
  {
    const auto watchdog = watch(600);
    EXPECT_TRUE(until([&] { return well_ > 0; }));
    EXPECT_FALSE(watchdog->a_rank_has_gone());
    EXPECT_EQ(ended_, 0);
    ::kill(child_, SIGKILL);
    EXPECT_TRUE(until([&] { return ended_ == 1; }));
    EXPECT_TRUE(watchdog->a_rank_has_gone());
  }
  const std::string said = ::testing::internal::GetCapturedStderr();
  EXPECT_THAT(said, HasSubstr("ferry: rank 1 on here is gone (killed, or crashed): text"));
  EXPECT_EQ(std::count(said.begin(), said.end(), '\n'), 1) << said;
}

TEST_F(BesideAChild, AStoppedRankEndsTheJobAfterTheDeadline) {
  start({Stage::Denoise, 7, 2});
  ::testing::internal::CaptureStderr();
  const Clock::time_point begin = Clock::now();
  {
    const auto watchdog = watch(0.5);
    watchdog->ticks().at({Stage::Exchange, 7, 2});
    const Ticks::Wait wait(&watchdog->ticks());
    ::kill(child_, SIGSTOP);
    EXPECT_TRUE(until([&] { return ended_ == 1; }));
    EXPECT_FALSE(watchdog->claim(1));
  }
  EXPECT_GE(seconds_since(begin), 0.5);
  EXPECT_THAT(::testing::internal::GetCapturedStderr(),
              HasSubstr("rank 1 on here has stopped: denoise, step 7, block 2"));
}

TEST_F(BesideAChild, ARankThatLeavesIsNotGone) {
  start({Stage::Write, 0, -1});
  board_.place(1).left = true;
  ::kill(child_, SIGKILL);
  ::waitpid(std::exchange(child_, 0), nullptr, 0);
  const auto watchdog = watch(600);
  EXPECT_FALSE(watchdog->a_rank_has_gone());
  EXPECT_FALSE(watchdog->about_gone());
}

TEST_F(BesideAChild, AUserErrorOfOneRankIsNotThatOfAll) {
  start({Stage::Load, 0, -1});
  const auto watchdog = watch(600);
  EXPECT_FALSE(watchdog->all_refuse(0.05));
  board_.place(1).refused = true;
  EXPECT_TRUE(watchdog->all_refuse(0.05));
}

TEST_F(BesideAChild, RanksStayUntilTheyGiveUpOrLeave) {
  start({Stage::Load, 0, -1});
  const auto watchdog = watch(600);
  EXPECT_EQ(watchdog->ranks_that_stay(), 2);
  board_.place(1).gives_up = true;
  EXPECT_EQ(watchdog->ranks_that_stay(), 1);
  watchdog->ticks().give_up();
  EXPECT_EQ(watchdog->ranks_that_stay(), 0);
  board_.place(1).gives_up = false;
  board_.place(1).left = true;
  EXPECT_EQ(watchdog->ranks_that_stay(), 0);
}

// A rank of another node, that is known from messages.
TEST_F(BesideAChild, ARankOfAnotherNodeThatSendsNoMoreHasStopped) {
  board_ = Board::alone(0);
  board_.enter(0);
  ::testing::internal::CaptureStderr();
  {
    const auto watchdog = std::make_unique<Watchdog>(WatchSetup{.board = board_,
                                                                .index = 0,
                                                                .hosts = {"here", "there"},
                                                                .fault = std::nullopt,
                                                                .deadline_s = 0.5,
                                                                .end = [this](int code) { ended_ = code; },
                                                                .contact = [] {},
                                                                .all_is_well = [this] { ++well_; }});
    const Ticks::Wait wait(&watchdog->ticks());
    watchdog->hear(1, {.where = packed({Stage::Gather, 2, 1}),
                       .tick_age = 0,
                       .waits = 0,
                       .device_free = 0,
                       .host_free = 0});
    EXPECT_TRUE(until([&] { return well_ > 0; }));
    // Nobody listens: that there is no message says nothing.
    std::this_thread::sleep_for(milliseconds(900));
    EXPECT_EQ(ended_, 0);
    EXPECT_TRUE(until([&] {
      watchdog->listens();
      return ended_ == 1;
    }));
  }
  EXPECT_THAT(::testing::internal::GetCapturedStderr(),
              HasSubstr("rank 1 on there has stopped: gather, step 2, block 1"));
}

class Alone : public BesideAChild {
 protected:
  Alone() {
    board_ = Board::alone(0);
    board_.enter(0);
    board_.look_around();
  }
};

// One block may last longer than the deadline where the thread that computes it runs.
TEST_F(Alone, AMainThreadThatRunsIsNotStuckAndOneThatSleepsIs) {
  ::testing::internal::CaptureStderr();
  {
    const auto watchdog = watch(0.4);
    watchdog->ticks().begin(Stage::Denoise);
    const Clock::time_point begin = Clock::now();
    while (seconds_since(begin) < 1.2) continue;
    EXPECT_EQ(ended_, 0);
    EXPECT_TRUE(until([&] { return ended_ == 1; }));
  }
  EXPECT_THAT(::testing::internal::GetCapturedStderr(),
              HasSubstr("rank 0 on here makes no progress: denoise"));
}

TEST_F(Alone, OnAGpuTheHostsThreadRunningIsNoProgress) {
  ::testing::internal::CaptureStderr();
  {
    const auto watchdog = watch(0.3);
    watchdog->ticks().computes_on_host(false);
    watchdog->ticks().begin(Stage::Denoise);
    const Clock::time_point begin = Clock::now();
    while (ended_ == 0 && seconds_since(begin) < 30) continue;
    EXPECT_EQ(ended_, 1);
  }
  ::testing::internal::GetCapturedStderr();
}

TEST_F(Alone, TicksKeepAJobAlive) {
  const auto watchdog = watch(0.4);
  watchdog->ticks().computes_on_host(false);
  watchdog->ticks().begin(Stage::Load);
  for (int i = 0; i < 20; ++i) {
    std::this_thread::sleep_for(milliseconds(50));
    watchdog->ticks().progress();
  }
  EXPECT_EQ(ended_, 0);
  watchdog->ticks().begin(Stage::End);
  std::this_thread::sleep_for(milliseconds(800));
  EXPECT_EQ(ended_, 0);
}

}  // namespace
}  // namespace ferry::parallel
