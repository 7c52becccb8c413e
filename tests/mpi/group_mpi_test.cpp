// parallel/groups.h and parallel/mpi/mpi_group.h on real ranks.
#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "base/error.h"
#include "parallel/groups.h"
#include "parallel/mpi/mpi_group.h"
#include "parallel/ulysses.h"
#include "tests/support/mpi_fixture.h"

namespace ferry::parallel {
namespace {

class MpiGroupTest : public ferry::testing::MpiTest {
 protected:
  std::unique_ptr<Device> device_ = make_cpu_device();
};

// What rank `from` puts at position `i` of its piece for rank `to`.
std::uint32_t value(int from, int to, std::size_t i) {
  return static_cast<std::uint32_t>(from * 1000003 + to * 10007) + static_cast<std::uint32_t>(i) * 7;
}

std::vector<std::uint32_t> pieces_of(int rank, int size, std::size_t count) {
  std::vector<std::uint32_t> all;
  for (int to = 0; to < size; ++to) {
    for (std::size_t i = 0; i < count; ++i) all.push_back(value(rank, to, i));
  }
  return all;
}

// The wrong values in what rank `rank` received.
std::size_t wrong_all_to_all(const std::vector<std::uint32_t>& got, int rank, int size, std::size_t count) {
  std::size_t wrong = 0;
  for (int from = 0; from < size; ++from) {
    for (std::size_t i = 0; i < count; ++i) {
      wrong += got[static_cast<std::size_t>(from) * count + i] != value(from, rank, i) ? 1 : 0;
    }
  }
  return wrong;
}

TEST_F(MpiGroupTest, AllToAllTradesPiecesForAnyMessageSize) {
  for (const std::size_t message_bytes : {std::size_t{1000}, std::size_t{4096}, MpiGroup::kMessageBytes}) {
    MpiGroup group(session().thread(), MPI_COMM_WORLD, message_bytes);
    for (const std::size_t count : {0, 1, 250, 1024, 100003}) {
      const auto send = pieces_of(rank(), size(), count);
      std::vector<std::uint32_t> recv(send.size());
      group.all_to_all(recv.data(), send.data(), count * 4, device_->compute());
      EXPECT_EQ(wrong_all_to_all(recv, rank(), size(), count), 0u) << count << " values, " << message_bytes;
    }
  }
}

TEST_F(MpiGroupTest, AllGatherCollectsEveryRankAlsoInPlace) {
  MpiGroup group(session().thread(), MPI_COMM_WORLD, 1000);
  constexpr std::size_t kCount = 5003;
  std::vector<std::uint32_t> own(kCount);
  for (std::size_t i = 0; i < kCount; ++i) own[i] = value(rank(), 0, i);
  std::vector<std::uint32_t> apart(kCount * size());
  group.all_gather(apart.data(), own.data(), kCount * 4, device_->compute());
  std::vector<std::uint32_t> in_place(kCount * size());
  std::uint32_t* place = in_place.data() + kCount * rank();
  std::memcpy(place, own.data(), kCount * 4);
  group.all_gather(in_place.data(), place, kCount * 4, device_->compute());
  EXPECT_EQ(apart, in_place);
  for (int from = 0; from < size(); ++from) {
    EXPECT_EQ(apart[from * kCount + 17], value(from, 0, 17));
    EXPECT_EQ(apart[from * kCount + kCount - 1], value(from, 0, kCount - 1));
  }
}

TEST_F(MpiGroupTest, BroadcastGivesTheRootsBytesForEveryRoot) {
  MpiGroup group(session().thread(), MPI_COMM_WORLD, 1000);
  for (int root = 0; root < size(); ++root) {
    std::vector<std::uint32_t> data(12345, value(rank(), 1, 0));
    group.broadcast(data.data(), data.size() * 4, root, device_->compute());
    EXPECT_EQ(data, std::vector<std::uint32_t>(12345, value(root, 1, 0)));
  }
  EXPECT_THROW(group.broadcast(nullptr, 0, size(), device_->compute()), std::invalid_argument);
}

TEST_F(MpiGroupTest, OperationsFromTwoStreamsKeepTheirOrderOnEachStream) {
  MpiGroup exchange(session().thread(), session().split(0));
  MpiGroup gather(session().thread(), session().split(0));
  const auto copies = device_->make_stream("copies", Priority::Normal);
  constexpr std::size_t kCount = 4001;
  constexpr int kRounds = 50;
  const auto p = static_cast<std::size_t>(size());
  std::vector<std::uint32_t> send(p * kCount), there(p * kCount), back(p * kCount);
  std::vector<std::uint32_t> own(kCount), filled(kCount), all(p * kCount), checked(p * kCount);
  for (int round = 0; round < kRounds; ++round) {
    send = pieces_of(rank() + round, size(), kCount);
    std::fill(own.begin(), own.end(), value(rank(), round, 0));
    // On the second stream: what is gathered is written there just before and read there just after.
    copies->copy(filled.data(), own.data(), kCount * 4);
    gather.all_gather(all.data(), filled.data(), kCount * 4, *copies);
    copies->copy(checked.data(), all.data(), all.size() * 4);
    // Meanwhile there and back on the compute stream gives what was sent.
    exchange.all_to_all(there.data(), send.data(), kCount * 4, device_->compute());
    exchange.all_to_all(back.data(), there.data(), kCount * 4, device_->compute());
    ASSERT_EQ(back, send) << round;
    copies->synchronize();
    for (int from = 0; from < size(); ++from) {
      ASSERT_EQ(checked[from * kCount + 4000], value(from, round, 0)) << round;
    }
  }
}

TEST_F(MpiGroupTest, RunsOnTheCommunicationStreamItself) {
  MpiGroup group(session().thread(), MPI_COMM_WORLD);
  const auto send = pieces_of(rank(), size(), 100);
  std::vector<std::uint32_t> recv(send.size());
  group.all_to_all(recv.data(), send.data(), 400, session().comm());
  session().comm().synchronize();
  EXPECT_EQ(wrong_all_to_all(recv, rank(), size(), 100), 0u);
}

// Sequence shards of a [tokens, heads] matrix become head shards and back (arXiv:2309.14509).
TEST_F(MpiGroupTest, UlyssesExchangeMatchesAReferenceBothWays) {
  const Shard shard = shard_of(37, size(), rank());
  const std::int64_t s = shard.per_rank;
  const auto cell = [](std::int64_t token, std::int64_t head) {
    return static_cast<float>(token * 100 + head);
  };
  MpiGroup group(session().thread(), MPI_COMM_WORLD);
  for (const std::int64_t heads : {4, 8, 11}) {
    const HeadSplit split(heads, size());
    std::vector<float> packed;
    for (int r = 0; r < size(); ++r) {
      const auto [first, count] = split.of(r);
      for (std::int64_t i = 0; i < s * count; ++i) {
        packed.push_back(cell(shard.begin + i / count, first + i % count));
      }
    }
    const auto [first, count] = split.of(rank());
    std::vector<float> mine(static_cast<std::size_t>(shard.padded * count)), back(packed.size());
    const auto head_bytes = static_cast<std::size_t>(s) * sizeof(float);
    group.all_to_all(mine.data(), packed.data(), split.to_heads(head_bytes), device_->compute());
    for (std::int64_t i = 0; i < shard.padded * count; ++i) {
      ASSERT_EQ(mine[static_cast<std::size_t>(i)], cell(i / count, first + i % count)) << i;
    }
    group.all_to_all(back.data(), mine.data(), split.to_tokens(head_bytes), device_->compute());
    EXPECT_EQ(back, packed) << heads;
  }
}

TEST_F(MpiGroupTest, GroupsOfAMeshHoldTheRanksThatItSays) {
  const Mesh mesh = make_mesh({.cfg = size() > 1 ? CfgMode::Parallel : CfgMode::Serial}, size(), rank(), 12);
  const Groups groups = make_groups(session(), mesh, *device_);
  EXPECT_EQ(groups.ulysses->size(), mesh.ulysses);
  EXPECT_EQ(groups.ulysses->rank(), mesh.ulysses_index);
  EXPECT_EQ(groups.cfg->size(), mesh.cfg);
  EXPECT_EQ(groups.cfg->rank(), mesh.cfg_index);
  EXPECT_EQ(groups.data_root->size(), mesh.cfg * mesh.ulysses);
  EXPECT_EQ(groups.copy_sharers->size(), mesh.cfg * mesh.ulysses);  // one node here
  EXPECT_EQ(groups.copy_sharers->rank(), mesh.cfg_index * mesh.ulysses + mesh.ulysses_index);
  EXPECT_EQ(groups.ulysses->backend(), mesh.ulysses == 1 ? "single" : "mpi");

  std::vector<int> members(groups.cfg->size());
  const int me = rank();
  groups.cfg->all_gather(members.data(), &me, sizeof me, device_->compute());
  for (int i = 0; i < groups.cfg->size(); ++i) EXPECT_EQ(members[i], i * mesh.ulysses + mesh.ulysses_index);
}

TEST_F(MpiGroupTest, AFailedOperationIsThrownByTheStreamsNextWait) {
  // A communication thread of its own, so that the session's stays healthy.
  CommThread thread(60, MPI_COMM_WORLD);
  MpiGroup group(thread, MPI_COMM_WORLD);
  const auto stream = device_->make_stream("exchange", Priority::Normal);
  session().barrier();
  thread.stream().call([] { throw MpiError("planted"); });
  std::vector<std::uint32_t> send(size()), recv(size());
  group.all_to_all(recv.data(), send.data(), 4, *stream);
  EXPECT_THROW(stream->synchronize(), MpiError);
  EXPECT_THROW(stream->synchronize(), MpiError);
}

}  // namespace
}  // namespace ferry::parallel
