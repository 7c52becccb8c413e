#include <gtest/gtest.h>
#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <future>
#include <latch>
#include <memory>
#include <mutex>
#include <numeric>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "base/error.h"
#include "offload/arena/loader.h"
#include "offload/arena/pin_order.h"
#include "offload/arena/pinning.h"
#include "offload/async/auto_share.h"
#include "offload/stage.h"
#include "tests/unit/offload_pinning_device.h"
#include "tests/unit/offload_toy.h"

namespace ferry::offload {
namespace {

using testing::PinningDevice;

struct Rig {
  PinningDevice device;
  DeviceAccount account;
  std::unique_ptr<NodeArena> arena = testing::toy_arena({});
  // Lazy: views on a GPU that is none cannot be made.
  std::unique_ptr<StageWeights> stage(bool pin) {
    return testing::stage_over(*arena,
                               {.type = StrategyKind::Async, .pin_cpu_memory = pin, .lazy_gpu_cache = true},
                               {.device = &device, .account = &account, .peers = {}});
  }
  bool is_locked(const Blob& blob) const {
    const auto found = device.locked.find(reinterpret_cast<std::uintptr_t>(arena->at(blob)));
    return found != device.locked.end() && found->second >= blob.bytes;
  }
};

TEST(PinCpuMemory, EveryBlockIsPageLockedWhenItIsOn) {
  Rig rig;
  EXPECT_TRUE(rig.stage(true)->report().pinned);
  for (const BlockPlace& block : rig.arena->layout().blocks) EXPECT_TRUE(rig.is_locked(block.blob));
  EXPECT_TRUE(rig.is_locked(rig.arena->layout().head.blob));
  EXPECT_TRUE(rig.is_locked(rig.arena->layout().tail.blob));
  rig.arena.reset();
  EXPECT_TRUE(rig.device.locked.empty()) << "the arena unlocks what it locked";
}

TEST(PinCpuMemory, NothingIsPageLockedWhenItIsOff) {
  Rig rig;
  EXPECT_FALSE(rig.stage(false)->report().pinned);
  EXPECT_TRUE(rig.device.locked.empty());
}

TEST(PinCpuMemory, ARefusalLeavesNothingHalfLocked) {
  Rig rig;
  rig.device.refuses = true;
  EXPECT_FALSE(rig.stage(true)->report().pinned);
  EXPECT_TRUE(rig.device.locked.empty());
}

TEST(PinCpuMemory, OnlyRanksThatCopyPageLock) {
  testing::run_ranks(3, [](const parallel::Peers& peers) {
    PinningDevice device;
    NodeArena arena(arena_plan(testing::toy_spec(), 3), {.peers = peers, .make_window = {}});
    EXPECT_TRUE(arena.pin(device, peers.rank == 0));
    EXPECT_EQ(device.locked.empty(), peers.rank != 0) << peers.rank;
  });
}

TEST(PinCpuMemory, RanksThatPageLockNothingSeeThatAnotherDoes) {
  for (const MemoryKind kind : {MemoryKind::Memfd, MemoryKind::Private}) {
    std::latch looked(3);
    testing::run_ranks(3, [&](const parallel::Peers& peers) {
      PinningDevice device;
      device.on_pin = [&](const std::byte*, std::size_t) { looked.wait(); };
      ArenaPlan plan = arena_plan(testing::toy_spec(), 3);
      plan.first = kind;
      NodeArena arena(plan, {.peers = peers, .make_window = {}});
      if (peers.rank == 0) arena.begin_pin(device);
      barrier(peers);
      const bool shared = kind != MemoryKind::Private;
      EXPECT_EQ(arena.pinning_over_on_node(), !shared && peers.rank != 0) << peers.rank;
      looked.count_down();
      EXPECT_TRUE(arena.pin(device, peers.rank == 0));
      arena.wait_pinned();
      barrier(peers);
      EXPECT_TRUE(arena.pinning_over_on_node());
      barrier(peers);
    });
  }
}

TEST(PinCpuMemory, WhenOneRankIsRefusedAllGoWithout) {
  testing::run_ranks(3, [](const parallel::Peers& peers) {
    PinningDevice device;
    device.refuses = peers.rank == 1;
    NodeArena arena(arena_plan(testing::toy_spec(), 3), {.peers = peers, .make_window = {}});
    EXPECT_FALSE(arena.pin(device));
    EXPECT_FALSE(arena.pinned());
    EXPECT_TRUE(device.locked.empty()) << peers.rank;
  });
}

// Of all ranks: what each has page-locked, by offset in the arena, in order, and which blobs are being
// locked.
struct Board {
  std::mutex mutex;
  std::array<std::vector<std::size_t>, 4> done;
  std::set<int> now;
  int twice = 0;  // a rank began what another was at
};

int lock_of(const PinOrder& order, std::size_t offset) {
  for (const auto* pieces : {&order.first, &order.rest}) {
    for (const PinPiece& piece : *pieces) {
      if (piece.offset == offset) return piece.lock;
    }
  }
  return -1;
}

// Rank 0 is slow, so that the others come to its blobs while it is still there.
TEST(PinInRotation, EachRankBeginsElsewhereAndNoTwoAreAtTheSameBlob) {
  constexpr int kRanks = 4;
  const std::vector<int> divided = {0, 1, 2, 3, 5, 6, 7, 8};
  Board board;
  std::latch all_at_work(kRanks);
  testing::run_ranks(kRanks, [&](const parallel::Peers& peers) {
    PinningDevice device;
    NodeArena arena(arena_plan(testing::toy_spec({.layers = 9}), kRanks),
                    {.peers = peers, .make_window = {}});
    const PinOrder order = pin_order(arena.layout(), divided, peers.rank, kRanks, kRanks);
    std::vector<std::size_t>& mine = board.done[static_cast<std::size_t>(peers.rank)];
    device.on_pin = [&](const std::byte* data, std::size_t) {
      const auto offset = static_cast<std::size_t>(data - arena.data());
      const int lock = lock_of(order, offset);
      {
        const std::lock_guard guard(board.mutex);
        if (!board.now.insert(lock).second) ++board.twice;
      }
      // Nobody goes on before all have begun: ranks that took turns would never meet.
      if (mine.empty()) all_at_work.arrive_and_wait();
      std::this_thread::sleep_for(std::chrono::milliseconds(peers.rank == 0 ? 5 : 1));
      const std::lock_guard guard(board.mutex);
      board.now.erase(lock);
      mine.push_back(offset);
    };
    arena.begin_pin(device, divided);
    EXPECT_TRUE(arena.pin(device));
    arena.wait_pinned();
    std::vector<std::size_t> expected;
    for (const auto* pieces : {&order.first, &order.rest}) {
      for (const PinPiece& piece : *pieces) expected.push_back(piece.offset);
    }
    EXPECT_EQ(mine, expected) << "rank " << peers.rank;
    EXPECT_EQ(device.locked.size(), expected.size());
    EXPECT_GT(arena.pin_first_s(), 0);
    EXPECT_GT(arena.pin_all_s(), arena.pin_first_s());
  });
  EXPECT_EQ(board.twice, 0);
}

// The device is held up at what comes later.
TEST(PinInRotation, ARankWaitsForNoMoreThanWhatComesFirst) {
  PinningDevice device;
  const auto arena = testing::toy_arena({});
  std::vector<std::byte> locks(PinLocks::bytes(pin_locks(arena->layout())));
  const PinOrder order = pin_order(arena->layout(), {0, 1, 2, 3, 4, 5}, 0, 2, 2);
  std::latch go_on(1);
  std::size_t asked = 0;
  device.on_pin = [&](const std::byte*, std::size_t) {
    if (++asked == order.first.size() + 1) go_on.wait();
  };
  Pinning pinning({.device = &device, .arena = arena->data(), .order = order, .locks = locks.data()});
  EXPECT_EQ(pinning.wait_first(), "");
  EXPECT_GT(pinning.first_s(), 0);
  EXPECT_EQ(pinning.all_s(), 0);
  EXPECT_EQ(device.locked.size(), order.first.size());
  PinLocks other(locks.data());  // another rank's
  EXPECT_FALSE(other.over());
  other.begin();
  go_on.count_down();
  EXPECT_EQ(pinning.wait_all(), "");
  EXPECT_FALSE(other.over());
  other.end();
  EXPECT_TRUE(other.over());
  EXPECT_GT(pinning.all_s(), pinning.first_s());
  EXPECT_EQ(device.locked.size(), order.first.size() + order.rest.size());
}

TEST(PinInRotation, RestsWhileItIsPaused) {
  PinningDevice device;
  const auto arena = testing::toy_arena({.layers = 40});
  std::vector<std::byte> locks(PinLocks::bytes(pin_locks(arena->layout())));
  const PinOrder order = pin_order(arena->layout(), {}, 0, 2, 2);
  std::atomic<std::size_t> asked = 0;
  std::latch at_second(1), go(1);
  device.on_pin = [&](const std::byte*, std::size_t) {
    if (++asked != 2) return;
    at_second.count_down();
    go.wait();
  };
  Pinning pinning({.device = &device, .arena = arena->data(), .order = order, .locks = locks.data()});
  at_second.wait();
  std::latch pausing(1);
  auto paused = std::async(std::launch::async, [&] {
    pausing.count_down();
    pinning.pause();
  });
  pausing.wait();
  EXPECT_EQ(paused.wait_for(std::chrono::milliseconds(50)), std::future_status::timeout)
      << "the device is still at one";
  go.count_down();
  paused.get();
  const std::size_t before = asked;
  EXPECT_EQ(before, 2U);
  ASSERT_LT(before, order.first.size());
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_EQ(asked, before);
  EXPECT_EQ(device.locked.size(), before);
  EXPECT_FALSE(pinning.over());
  pinning.resume();
  EXPECT_EQ(pinning.wait_all(), "");
  EXPECT_TRUE(pinning.over());
  pinning.pause();  // does not wait for what is over
  EXPECT_EQ(asked, order.first.size() + order.rest.size());
}

TEST(PinInRotation, EndsThoughNotAllHaveReadTheirPart) {
  PinningDevice device;
  const auto arena = testing::toy_arena({});
  std::vector<std::byte> locks(PinLocks::bytes(pin_locks(arena->layout())));
  std::atomic<int> asked = 0;
  device.on_pin = [&](const std::byte*, std::size_t) { ++asked; };
  {
    const Pinning pinning({.device = &device,
                           .arena = arena->data(),
                           .order = pin_order(arena->layout(), {}, 0, 2, 2),
                           .locks = locks.data(),
                           .fillers = 1});
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  EXPECT_EQ(asked, 0);
  EXPECT_TRUE(PinLocks(locks.data()).over());
}

// One rank's page-locking rests after what comes first; false: it was over before the test came to that.
bool compares_when_all_is_locked() {
  constexpr int kRanks = 2;
  const testing::ToyShape shape{.layers = 40};  // so much that it is not over before the test comes to it
  std::vector<int> divided(39);
  std::iota(divided.begin(), divided.end(), 0);
  std::atomic<bool> rests = false;
  testing::run_ranks(kRanks, [&](const parallel::Peers& peers) {
    PinningDevice device;
    NodeArena arena(arena_plan(testing::toy_spec(shape), kRanks), {.peers = peers, .make_window = {}});
    device.on_pin = [](const std::byte*, std::size_t) {
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    };
    arena.begin_pin(device, divided);
    EXPECT_TRUE(arena.pin(device));
    if (peers.rank == 1) {
      arena.pause_pinning(true);
      rests = !arena.pinning_over();
    }
    barrier(peers);
    if (!rests) return;
    const ShareFigures figures{.block_bytes = 1, .together_gbps = 1, .gather_gbps = 1, .ranks = kRanks};
    // With all shared a pass takes longer, on one rank.
    const auto took = [&](double share) { return PassTime{.ms = share > 0 && peers.rank == 0 ? 40.0 : 20}; };
    AutoShare share({.figures = figures, .blocks = 7, .first = 1, .took = took}, arena, peers, device);
    Meter meter(device, 7);
    const auto pass = [&] {
      share.next(meter);
      if (share.settled()) return;
      share.begins({.kind = "forward"}, device.compute());
      share.ends(PassFit::Measures, device.compute());
    };
    for (int i = 0; i < 6; ++i) {
      pass();
      EXPECT_FALSE(share.settled());
      EXPECT_EQ(share.next(meter), 1) << "after pass " << i;
    }
    arena.pause_pinning(false);
    arena.wait_pinned();
    for (int i = 0; i < 12; ++i) pass();
    EXPECT_TRUE(share.settled());
    EXPECT_EQ(share.next(meter), 0) << share.why();
  });
  return rests;
}

TEST(PinInRotation, PassesOnWeightsThatAreNotAllLockedAreNotCompared) {
  bool judged = false;
  for (int round = 0; round < 20 && !judged; ++round) judged = compares_when_all_is_locked();
  EXPECT_TRUE(judged) << "the machine is too busy";
}

// What the log says while it lives.
class Log {
 public:
  Log() {
    const auto sink = std::make_shared<spdlog::sinks::ostream_sink_mt>(text_);
    before_ = spdlog::default_logger();
    spdlog::set_default_logger(std::make_shared<spdlog::logger>("test", sink));
  }
  ~Log() { spdlog::set_default_logger(before_); }
  std::string text() const { return text_.str(); }

 private:
  std::ostringstream text_;
  std::shared_ptr<spdlog::logger> before_;
};

// A refusal after the stage has begun leaves it what it has, and is said though nobody waits.
TEST(PinInRotation, ARefusalOfTheRestLeavesTheShares) {
  constexpr int kRanks = 2;
  const Log log;
  testing::run_ranks(kRanks, [&](const parallel::Peers& peers) {
    PinningDevice device;
    NodeArena arena(arena_plan(testing::toy_spec(), kRanks), {.peers = peers, .make_window = {}});
    const std::size_t first = pin_order(arena.layout(), {3}, peers.rank, kRanks, kRanks).first.size();
    std::size_t asked = 0;
    device.on_pin = [&](const std::byte*, std::size_t) {
      if (++asked > first) throw Error("no more pages");
    };
    arena.begin_pin(device, {3});
    EXPECT_TRUE(arena.pin(device));
    arena.wait_pinned();
    EXPECT_TRUE(arena.pinned());
    EXPECT_EQ(device.locked.size(), first);
    EXPECT_EQ(arena.pin_all_s(), 0);
  });
  EXPECT_NE(log.text().find("not all weights can be page-locked"), std::string::npos) << log.text();
  EXPECT_NE(log.text().find("no more pages"), std::string::npos) << log.text();
}

TEST(PinInRotation, ARankThatStaysAtItsBlobIsNotWaitedForForEver) {
  PinningDevice device;
  const auto arena = testing::toy_arena({});
  std::vector<std::byte> locks(PinLocks::bytes(pin_locks(arena->layout())));
  EXPECT_TRUE(PinLocks(locks.data()).take(4, [] { return false; }));
  {
    Pinning pinning({.device = &device,
                     .arena = arena->data(),
                     .order = pin_order(arena->layout(), {}, 0, 2, 2),
                     .locks = locks.data(),
                     .patience_s = 0.05});
    EXPECT_EQ(pinning.wait_first(), "another rank has not finished blob 4");
    EXPECT_EQ(device.locked.size(), 4U);
  }
  EXPECT_TRUE(device.locked.empty());
}

// Rank 1 stays in its first read until it is told.
TEST(BeginLoad, TheArenaIsPageLockedWhenAllRanksHaveFilledTheirPart) {
  constexpr int kRanks = 2;
  testing::run_ranks(kRanks, [](const parallel::Peers& peers) {
    PinningDevice device;
    std::atomic<int> asked = 0;
    std::latch go_on(1);
    device.on_pin = [&](const std::byte*, std::size_t) { ++asked; };
    const TensorSource source = [&](const model::TensorSpec& spec, std::byte* tensor, std::int64_t begin,
                                    std::int64_t end) {
      if (peers.rank == 1) go_on.wait();
      testing::toy_source()(spec, tensor, begin, end);
    };
    NodeArena arena(arena_plan(testing::toy_spec(), kRanks), {.peers = peers, .make_window = {}});
    arena.begin_load(source, {.threads = 1, .progress = {}, .pin_for = &device});
    arena.pause_pinning(true);  // returns: there is nothing to wait for
    arena.pause_pinning(false);
    while (!PinLocks(arena.data() + arena.bytes()).filled_by(1)) std::this_thread::yield();  // by rank 0
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    barrier(peers);
    EXPECT_EQ(asked, 0);
    EXPECT_FALSE(arena.filled());
    barrier(peers);
    go_on.count_down();
    arena.finish_load();
    EXPECT_TRUE(arena.filled());
    EXPECT_TRUE(arena.pin(device));
    EXPECT_EQ(device.locked.size(), 9U) << "head, seven blocks, tail";
  });
}

TEST(BeginLoad, AnArenaThatDiesStopsItsLoad) {
  std::atomic<std::size_t> read = 0;
  std::size_t pieces = 0;
  PinningDevice device;
  {
    std::latch begun(1);
    NodeArena arena(arena_plan(testing::toy_spec(), 1), {});
    const TensorSource source = [&](const model::TensorSpec&, std::byte*, std::int64_t, std::int64_t) {
      if (++read == 1) begun.count_down();
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    };
    pieces = pieces_of(arena.stored(), arena.layout(), arena.bytes()).size();
    arena.begin_load(source, {.threads = 1, .progress = {}, .pin_for = &device});
    begun.wait();
  }
  EXPECT_LT(read, pieces) << "it was read to the end";
  EXPECT_TRUE(device.locked.empty());
}

}  // namespace
}  // namespace ferry::offload
