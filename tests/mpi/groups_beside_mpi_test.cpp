// The groups of a mesh at work beside each other, on the devices of the program.
#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "parallel/groups.h"
#include "tests/support/ranks_fixture.h"

namespace ferry::parallel {
namespace {

constexpr int kRounds = 12;
constexpr std::size_t kCount = 20011;  // elements of a piece
constexpr std::size_t kBytes = kCount * 4;

enum Operation : std::uint8_t { kExchange, kBranches, kBroadcast, kGather };

using Values = std::vector<std::uint32_t>;

// Piece of world rank `from` for world rank `to`: hashes, so that no other operation, round, pair of ranks or
// place has the same.
void append_piece(Values& values, Operation operation, int round, int from, int to = 0) {
  const std::uint64_t piece =
      ((static_cast<std::uint64_t>(operation) * kRounds + round) * 64 + from) * 64 + to;
  for (std::size_t i = 0; i < kCount; ++i) {
    std::uint64_t hash = ((piece << 24U) + i) * 0x9E3779B97F4A7C15ULL;
    hash = (hash ^ (hash >> 31U)) * 0xBF58476D1CE4E5B9ULL;
    values.push_back(static_cast<std::uint32_t>(hash >> 32U));
  }
}

// `all` with everything but piece `own` erased.
Values own_piece(const Values& all, int own) {
  Values mine(all.size());
  const auto begin = static_cast<std::ptrdiff_t>(kCount) * own;
  std::copy_n(all.begin() + begin, kCount, mine.begin() + begin);
  return mine;
}

std::byte* place_of(const DeviceMemory& memory, const Group& group) {
  return memory.data() + static_cast<std::size_t>(group.rank()) * kBytes;
}

// A buffer on the device and what must come into it.
struct Expected {
  DeviceMemory memory;
  Values values;
};

// One round's buffers; but for the exchange, operations work in place.
struct Round {
  int number = 0;
  DeviceMemory send;
  Expected exchange, branches, broadcast, weights;
};

class GroupsBeside : public ferry::testing::DeviceRanksTest {
 protected:
  DeviceMemory up(const Values& values) {
    DeviceMemory memory = device().allocate(values.size() * 4);
    device().compute().copy(memory.data(), values.data(), values.size() * 4);
    device().compute().synchronize();
    return memory;
  }
  bool came(const Expected& expected) {
    Values values(expected.values.size());
    device().compute().copy(values.data(), expected.memory.data(), expected.memory.bytes());
    device().compute().synchronize();
    return values == expected.values;
  }
  void make_mesh_groups(int cfg) {
    mesh_ = {.data = 1, .cfg = cfg, .ulysses = size() / cfg};
    mesh_.cfg_index = rank() / mesh_.ulysses;
    mesh_.ulysses_index = rank() % mesh_.ulysses;
    mesh_groups_ = make_groups(session(), mesh_, device());
  }
  Round make_round(int number) {
    Round round;
    round.number = number;
    Values send;
    for (int other = 0; other < mesh_.ulysses; ++other) {
      const int world = mesh_.cfg_index * mesh_.ulysses + other;
      append_piece(send, kExchange, number, rank(), world);
      append_piece(round.exchange.values, kExchange, number, world, rank());
    }
    for (int other = 0; other < size(); ++other) append_piece(round.weights.values, kGather, number, other);
    for (int other = 0; other < mesh_.cfg; ++other)
      append_piece(round.branches.values, kBranches, number, other * mesh_.ulysses + mesh_.ulysses_index);
    const int root = number % size();
    append_piece(round.broadcast.values, kBroadcast, number, root);
    round.send = up(send);
    round.exchange.memory = up(Values(send.size()));
    round.weights.memory = up(own_piece(round.weights.values, rank()));
    round.branches.memory = up(own_piece(round.branches.values, mesh_.cfg_index));
    round.broadcast.memory = up(rank() == root ? round.broadcast.values : Values(kCount));
    return round;
  }
  void queue(Round& round, Stream& gather) {
    Stream& compute = device().compute();
    const Groups& on = mesh_groups_;
    on.copy_sharers->all_gather(round.weights.memory.data(), place_of(round.weights.memory, *on.copy_sharers),
                                kBytes, gather);
    on.ulysses->all_to_all(round.exchange.memory.data(), round.send.data(), kBytes, compute);
    on.cfg->all_gather(round.branches.memory.data(), place_of(round.branches.memory, *on.cfg), kBytes,
                       compute);
    on.data_root->broadcast(round.broadcast.memory.data(), kBytes, round.number % size(), compute);
  }
  // All rounds are queued before the host waits for one.
  void run_rounds() {
    const auto gather = device().make_stream("gather", Priority::High);
    const auto gathered = device().make_event(EventKind::Order);
    const auto computed = device().make_event(EventKind::Order);
    std::vector<Round> rounds;
    for (int number = 0; number < kRounds; ++number) rounds.push_back(make_round(number));
    for (Round& round : rounds) queue(round, *gather);
    gather->record(*gathered);
    device().compute().record(*computed);
    wait_for(*gathered, mesh_groups_, 60);
    wait_for(*computed, mesh_groups_, 60);
    for (const Round& round : rounds) {
      EXPECT_TRUE(came(round.exchange)) << "exchange, round " << round.number;
      EXPECT_TRUE(came(round.branches)) << "gather over branches, round " << round.number;
      EXPECT_TRUE(came(round.broadcast)) << "broadcast, round " << round.number;
      EXPECT_TRUE(came(round.weights)) << "gather of weights, round " << round.number;
    }
  }
  Mesh mesh_;
  Groups mesh_groups_;
};

TEST_F(GroupsBeside, EveryElementOfEveryRoundComesFromTheRankThatTheMeshSays) {
  for (const int cfg : {1, 2}) {
    if (size() % cfg != 0) continue;
    make_mesh_groups(cfg);
    ASSERT_EQ(mesh_groups_.ulysses->size(), mesh_.ulysses);
    ASSERT_EQ(mesh_groups_.cfg->size(), cfg);
    ASSERT_EQ(mesh_groups_.copy_sharers->size(), size()) << "one node, one video";
    run_rounds();
    session().barrier();
    mesh_groups_ = {};
  }
}

}  // namespace
}  // namespace ferry::parallel
