// parallel/copy_group.h, on the devices of the program.
#include <gmock/gmock.h>

#include <chrono>
#include <cstdint>
#include <thread>
#include <vector>

#include "parallel/groups.h"
#include "tests/support/ranks_fixture.h"

namespace ferry::parallel {
namespace {

constexpr std::size_t kCount = 30011;  // values of a piece
constexpr std::size_t kBytes = kCount * 4;

using Values = std::vector<std::uint32_t>;

// What rank `from` sends to rank `to` in a round.
Values piece_of(int round, int from, int to) {
  Values values(kCount);
  for (std::size_t i = 0; i < kCount; ++i) {
    const std::uint64_t place = ((static_cast<std::uint64_t>(round) * 64 + from) * 64 + to) << 20U;
    values[i] = static_cast<std::uint32_t>(((place + i) * 0x9E3779B97F4A7C15ULL) >> 32U);
  }
  return values;
}

class CopyGroupTest : public ferry::testing::DeviceRanksTest {
 protected:
  void SetUp() override {
    DeviceRanksTest::SetUp();
    if (!has_device()) return;
    const Mesh mesh = {.data = 1, .cfg = 1, .ulysses = size(), .ulysses_index = rank()};
    copying_ = make_groups(session(), mesh, device(), ExchangeBy::Copy);
    stream_ = device().make_stream("test", Priority::High);
  }
  Group& group() { return *copying_.ulysses; }
  Stream& stream() { return *stream_; }
  std::size_t all_bytes() const { return kBytes * static_cast<std::size_t>(size()); }

  DeviceMemory up(const Values& values) {
    DeviceMemory memory = device().allocate(values.size() * 4);
    stream().copy(memory.data(), values.data(), memory.bytes());
    stream().synchronize();
    return memory;
  }
  Values down(const std::byte* data) {
    Values values(kCount * static_cast<std::size_t>(size()));
    stream().copy(values.data(), data, values.size() * 4);
    stream().synchronize();
    return values;
  }
  Values sent(int round) const {
    Values all;
    for (int to = 0; to < size(); ++to) append(all, piece_of(round, rank(), to));
    return all;
  }
  Values expected(int round) const {
    Values all;
    for (int from = 0; from < size(); ++from) append(all, piece_of(round, from, rank()));
    return all;
  }
  static void append(Values& all, const Values& more) { all.insert(all.end(), more.begin(), more.end()); }

 private:
  Groups copying_;
  std::unique_ptr<Stream> stream_;
};

TEST_F(CopyGroupTest, SaysThatItCopies) {
  if (size() == 1) GTEST_SKIP() << "one rank exchanges nothing";
  EXPECT_THAT(group().backend(), ::testing::HasSubstr(on_gpu() ? " + copy engines" : " + copies"));
}

// Several under way at once into two places, and no wait between rounds.
TEST_F(CopyGroupTest, AllToAllsFollowOneAnother) {
  constexpr int kRounds = 24;
  const DeviceMemory recv = group().allocate(device(), 2 * all_bytes());
  std::vector<DeviceMemory> send, got;
  for (int round = 0; round < kRounds; ++round) {
    send.push_back(up(sent(round)));
    got.push_back(device().allocate(all_bytes()));
  }
  for (int round = 0; round < kRounds; ++round) {
    const auto index = static_cast<std::size_t>(round);
    std::byte* place = recv.data() + (round % 2) * all_bytes();
    group().all_to_all(place, send[index].data(), kBytes, stream());
    stream().copy(got[index].data(), place, all_bytes());
  }
  for (int round = 0; round < kRounds; ++round) {
    EXPECT_EQ(down(got[static_cast<std::size_t>(round)].data()), expected(round)) << round;
  }
}

TEST_F(CopyGroupTest, AllGathersInPlaceAndFromElsewhere) {
  const DeviceMemory recv = group().allocate(device(), all_bytes());
  for (int round = 0; round < 6; ++round) {
    const DeviceMemory mine = up(piece_of(round, rank(), 0));
    const void* send = mine.data();
    if (round % 2 == 0) {
      std::byte* own = recv.data() + static_cast<std::size_t>(rank()) * kBytes;
      stream().copy(own, mine.data(), kBytes);
      send = own;
    }
    group().all_gather(recv.data(), send, kBytes, stream());
    Values all;
    for (int from = 0; from < size(); ++from) append(all, piece_of(round, from, 0));
    EXPECT_EQ(down(recv.data()), all) << round;
  }
}

// What a rank still reads is not written, however early the others come.
TEST_F(CopyGroupTest, APieceWaitsUntilItsPlaceIsFree) {
  const DeviceMemory recv = group().allocate(device(), all_bytes());
  const DeviceMemory seen = device().allocate(all_bytes());
  const DeviceMemory first = up(sent(1)), second = up(sent(2));
  for (int late = 0; late < size(); ++late) {
    group().all_to_all(recv.data(), first.data(), kBytes, stream());
    if (rank() == late) stream().call([] { std::this_thread::sleep_for(std::chrono::milliseconds(60)); });
    stream().copy(seen.data(), recv.data(), all_bytes());
    group().all_to_all(recv.data(), second.data(), kBytes, stream());
    EXPECT_EQ(down(seen.data()), expected(1)) << late;
    EXPECT_EQ(down(recv.data()), expected(2)) << late;
  }
}

TEST_F(CopyGroupTest, OtherMemoryIsExchangedAsBefore) {
  const DeviceMemory recv = device().allocate(all_bytes());
  const DeviceMemory send = up(sent(3));
  group().all_to_all(recv.data(), send.data(), kBytes, stream());
  EXPECT_EQ(down(recv.data()), expected(3));
}

TEST_F(CopyGroupTest, MemoryComesAndGoes) {
  for (int round = 0; round < 5; ++round) {
    DeviceMemory other = group().allocate(device(), kBytes);
    const DeviceMemory recv = group().allocate(device(), all_bytes());
    other = {};
    const DeviceMemory send = up(sent(round));
    group().all_to_all(recv.data(), send.data(), kBytes, stream());
    EXPECT_EQ(down(recv.data()), expected(round));
  }
  EXPECT_EQ(group().allocate(device(), 0).data(), nullptr);
}

// Every rank hears of it when one has no room.
TEST_F(CopyGroupTest, TooMuchMemoryIsRefusedOnEveryRank) {
  const std::size_t mine = rank() == size() - 1 ? std::size_t{1} << 50 : kBytes;
  EXPECT_THROW(static_cast<void>(group().allocate(device(), mine)), OutOfMemory);
}

}  // namespace
}  // namespace ferry::parallel
