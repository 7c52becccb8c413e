// All-to-alls of pieces of all kinds, on the devices of the program: by messages and by copies.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <numeric>
#include <stdexcept>
#include <vector>

#include "parallel/pieces.h"
#include "tests/support/ranks_fixture.h"

namespace ferry::parallel {
namespace {

using Bytes = std::vector<std::uint8_t>;

constexpr std::uint8_t kUntouched = 0xEE;

std::uint8_t byte_of(int round, int from, int to, std::size_t i) {
  const auto place = ((static_cast<std::uint64_t>(round) * 64 + static_cast<std::uint64_t>(from)) * 64 +
                      static_cast<std::uint64_t>(to))
                     << 24U;
  return static_cast<std::uint8_t>(((place + i) * 0x9E3779B97F4A7C15ULL) >> 56U);
}

class PiecesTest : public ferry::testing::DeviceRanksTest {
 protected:
  Group& group() { return *groups().ulysses; }

  // Sizes of the ranks: odd, none, and so many that ranks meet before they send.
  std::vector<std::size_t> sizes(int round) const {
    const std::size_t some[] = {3, 100003, 0, 400001, 4096};
    std::vector<std::size_t> all;
    for (int r = 0; r < size(); ++r) all.push_back(some[static_cast<std::size_t>(r + round) % 5]);
    return all;
  }
  // Of either side, even or not, in both orders, with and without the own piece.
  Pieces pieces_of(int round) const {
    Pieces pieces = round % 8 == 6   ? Pieces(70001)
                    : round % 2 == 0 ? Pieces::by_receiver(sizes(round))
                                     : Pieces::by_sender(sizes(round));
    if (round / 2 % 2 == 1) pieces = pieces.own_last(size());
    return round / 4 % 2 == 1 ? pieces.without_own() : pieces;
  }
  Bytes sent(const Pieces& pieces, int round) const {
    Bytes all(400001 * static_cast<std::size_t>(size()), kUntouched);
    for (int to = 0; to < size(); ++to) {
      put(all, pieces.place_sent(rank(), to), pieces.bytes(rank(), to), round, rank(), to);
    }
    return all;
  }
  Bytes expected(const Pieces& pieces, int round, std::size_t room) const {
    Bytes all(room, kUntouched);
    for (int from = 0; from < size(); ++from) {
      if (from == rank() && !pieces.moves_own()) continue;
      put(all, pieces.place_received(from, rank()), pieces.bytes(from, rank()), round, from, rank());
    }
    return all;
  }
  static void put(Bytes& all, std::size_t place, std::size_t count, int round, int from, int to) {
    for (std::size_t i = 0; i < count; ++i) all[place + i] = byte_of(round, from, to, i);
  }
  DeviceMemory up(const Bytes& bytes) {
    DeviceMemory memory = device().allocate(bytes.size() + 1);
    device().compute().copy(memory.data(), bytes.data(), bytes.size());
    device().compute().synchronize();
    return memory;
  }
  Bytes down(const DeviceMemory& memory, std::size_t count) {
    Bytes bytes(count);
    device().compute().copy(bytes.data(), memory.data(), count);
    device().compute().synchronize();
    return bytes;
  }
};

// No rank waits between rounds, and nothing is written beside what is expected.
TEST_F(PiecesTest, EveryByteComesFromTheRankThatSentIt) {
  constexpr int kRounds = 16;
  const std::size_t room = 400001 * static_cast<std::size_t>(size()) + 99;
  for (const ExchangeBy by : {ExchangeBy::Nccl, ExchangeBy::Copy}) {
    use(by);
    const auto stream = device().make_stream("test", Priority::High);
    const DeviceMemory recv = group().allocate(device(), room);
    std::vector<DeviceMemory> send, got;
    for (int round = 0; round < kRounds; ++round) {
      send.push_back(up(sent(pieces_of(round), round)));
      got.push_back(device().allocate(room));
    }
    for (int round = 0; round < kRounds; ++round) {
      const auto index = static_cast<std::size_t>(round);
      stream->fill(recv.data(), kUntouched, room);
      group().all_to_all(recv.data(), send[index].data(), pieces_of(round), *stream);
      stream->copy(got[index].data(), recv.data(), room);
    }
    stream->synchronize();
    for (int round = 0; round < kRounds; ++round) {
      const Bytes bytes = down(got[static_cast<std::size_t>(round)], room);
      EXPECT_TRUE(bytes == expected(pieces_of(round), round, room)) << group().backend() << ", " << round;
    }
  }
}

TEST_F(PiecesTest, OfAnotherNumberOfRanksAreRefused) {
  for (const ExchangeBy by : {ExchangeBy::Nccl, ExchangeBy::Copy}) {
    use(by);
    const DeviceMemory memory = group().allocate(device(), 64);
    std::vector<std::size_t> sizes(static_cast<std::size_t>(size()) + 1, 1);
    sizes[0] = 2;
    EXPECT_THROW(
        group().all_to_all(memory.data(), memory.data() + 32, Pieces::by_sender(sizes), device().compute()),
        std::invalid_argument);
  }
}

// Not one byte behind the memory of another rank.
TEST_F(PiecesTest, CopiesStayInTheMemoryThatIsShared) {
  if (size() == 1) GTEST_SKIP() << "one rank exchanges nothing";
  use(ExchangeBy::Copy);
  ASSERT_THAT(group().backend(), ::testing::HasSubstr("cop"));
  const auto ranks = static_cast<std::size_t>(size());
  const DeviceMemory recv = group().allocate(device(), 8 * ranks);
  const DeviceMemory send = device().allocate(16 * ranks);
  std::vector<std::size_t> sizes(ranks, 8);
  sizes.back() = 9;
  EXPECT_THROW(group().all_to_all(recv.data(), send.data(), Pieces::by_receiver(sizes), device().compute()),
               std::invalid_argument);
  EXPECT_THROW(group().all_to_all(recv.data(), send.data(), Pieces::by_sender(sizes), device().compute()),
               std::invalid_argument);
}

}  // namespace
}  // namespace ferry::parallel
