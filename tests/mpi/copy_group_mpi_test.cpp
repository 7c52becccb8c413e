// parallel/node/copy_group.h, on the devices of the program.
#include <gmock/gmock.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/stream_gate.h"
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

// Ranges of a buffer for each rank, of no two alike sizes and with gaps; rank 1's, if there is one, is empty.
std::vector<Range> uneven_parts(int ranks) {
  std::vector<Range> parts;
  for (std::size_t r = 0; r < static_cast<std::size_t>(ranks); ++r) {
    parts.push_back({.offset = r * kBytes + 256, .bytes = r == 1 ? 0 : 256 * (40 + 7 * r)});
  }
  return parts;
}

// In slices and whole, in memory of the group and elsewhere.
TEST_F(CopyGroupTest, PartsOfAnySizeGetToAll) {
  const DeviceMemory recv = group().allocate(device(), all_bytes());
  const DeviceMemory other = device().allocate(all_bytes());
  const std::vector<Range> parts = uneven_parts(size());
  const Range& mine = parts[static_cast<std::size_t>(rank())];
  const auto link = device().make_stream("link", Priority::High);
  const auto there = device().make_event(EventKind::Order);
  const auto first = device().make_event(EventKind::Order);
  const std::size_t cut = mine.bytes / 3;
  const std::vector<Slice> slices = {{{mine.offset, cut}, first.get()},
                                     {{mine.offset + cut, mine.bytes - cut}, there.get()}};
  const Slice whole{mine, there.get()};
  for (int round = 0; round < 8; ++round) {
    const bool sliced = round % 2 == 0;
    std::byte* data = round % 4 < 2 ? recv.data() : other.data();
    stream().fill(data, 0xEE, all_bytes());
    stream().synchronize();
    const auto value = static_cast<std::uint8_t>(16 * round + rank());
    link->fill(data + mine.offset, value, cut);
    link->record(*first);
    link->fill(data + mine.offset + cut, value, mine.bytes - cut);
    link->record(*there);
    group().all_gather_parts(data, parts, sliced ? slices : std::vector<Slice>{whole}, nullptr, stream());
    const Values got = down(data);
    std::vector<std::uint8_t> wanted(all_bytes(), 0xEE);
    for (std::size_t r = 0; r < parts.size(); ++r) {
      std::fill_n(wanted.begin() + static_cast<std::ptrdiff_t>(parts[r].offset), parts[r].bytes,
                  static_cast<std::uint8_t>(16 * round + static_cast<int>(r)));
    }
    EXPECT_EQ(std::memcmp(got.data(), wanted.data(), wanted.size()), 0) << round;
  }
}

// A part of each rank on its way in two slices, of which the second waits until it is let go.
class TwoSlices {
 public:
  TwoSlices(Device& device, std::byte* data, int rank, int ranks)
      : device_(device), data_(data), rank_(static_cast<std::size_t>(rank)) {
    for (std::size_t r = 0; r < static_cast<std::size_t>(ranks); ++r) parts_.push_back({r * kBytes, kBytes});
    const std::size_t begin = parts_[rank_].offset;
    link_->fill(data + begin, 1, kHalf);
    link_->record(*first_);
    link_->call([this] {
      while (!go_) std::this_thread::sleep_for(std::chrono::microseconds(100));
    });
    link_->fill(data + begin + kHalf, 1, kHalf);
    link_->record(*second_);
    slices_ = {{{begin, kHalf}, first_.get()}, {{begin + kHalf, kHalf}, second_.get()}};
  }
  ~TwoSlices() { go_ = true; }
  const std::vector<Range>& parts() const { return parts_; }
  const std::vector<Slice>& slices() const { return slices_; }
  void let_go() { go_ = true; }
  // How many other ranks' first or second slice is here.  This rank's own part may still be written.
  int arrived(int slice) const {
    const auto reader = device_.make_stream("reader", Priority::High);
    int count = 0;
    for (std::size_t r = 0; r < parts_.size(); ++r) {
      if (r == rank_) continue;
      std::vector<std::uint8_t> seen(kHalf);
      reader->copy(seen.data(), data_ + parts_[r].offset + (slice == 0 ? 0 : kHalf), kHalf);
      reader->synchronize();
      if (std::ranges::all_of(seen, [](std::uint8_t byte) { return byte == 1; })) ++count;
    }
    return count;
  }
  bool wait_for_first() const {
    for (int i = 0; i < 1000; ++i) {
      if (arrived(0) == static_cast<int>(parts_.size()) - 1) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return false;
  }

 private:
  static constexpr std::size_t kHalf = kBytes / 2;
  Device& device_;
  std::byte* data_;
  std::size_t rank_;
  std::atomic<bool> go_ = false;
  std::unique_ptr<Event> first_ = device_.make_event(EventKind::Order);
  std::unique_ptr<Event> second_ = device_.make_event(EventKind::Order);
  std::unique_ptr<Stream> link_ = device_.make_stream("link", Priority::High);
  std::vector<Range> parts_;
  std::vector<Slice> slices_;
};

// A rank's first slice gets to the others while its second is still on its way.
TEST_F(CopyGroupTest, ASliceIsForwardedAsSoonAsItIsThere) {
  const DeviceMemory recv = group().allocate(device(), all_bytes());
  stream().fill(recv.data(), 0, all_bytes());
  stream().synchronize();
  static_cast<void>(session().all_agree(true));
  TwoSlices two(device(), recv.data(), rank(), size());
  group().all_gather_parts(recv.data(), two.parts(), two.slices(), nullptr, stream());
  const bool early = two.wait_for_first();
  EXPECT_TRUE(early);
  // Whoever let its second slice go before the others had looked would say nothing about theirs.
  static_cast<void>(session().all_agree(early));
  two.let_go();
  stream().synchronize();
  const Values got = down(recv.data());
  EXPECT_TRUE(std::all_of(got.begin(), got.end(), [](std::uint32_t value) { return value == 0x01010101; }));
}

// A gate that was closed for too long has opened by itself, on whichever rank: a round in which that may have
// happened says nothing.
class ClosedGate : public CopyGroupTest {
 protected:
  // `round` returns whether every rank was in time; it is the same on all ranks.
  template <class Round>
  void judge(const Round& round) {
    bool judged = false;
    for (int i = 0; i < 20 && !judged; ++i) judged = round();
    EXPECT_TRUE(judged) << "the machine is too busy";
  }
  StreamGate& gate() { return *gate_; }
  Stream& keeper() { return *keeper_; }
  // A new gate, which is open, when all ranks are here with what they have queued done.
  void begin_together() {
    stream().synchronize();
    static_cast<void>(session().all_agree(true));
    keeper_ = device().make_stream("keeper", Priority::High);
    gate_ = make_stream_gate(device());
  }
  // Returns from when on the gate may have been closed.
  Clock::time_point close() {
    const Clock::time_point closed = Clock::now();
    gate().close(keeper());
    keeper().synchronize();
    return closed;
  }
  // The end of a round in which this rank, before it opens its gate, has seen `none` of what the others hold
  // back.  All is there then.
  bool opens_after(bool none, Clock::time_point closed, const std::byte* data) {
    const bool judged = session().all_agree(Clock::now() - closed < kGateTimeout);
    EXPECT_TRUE(none || !judged);
    // Whoever opens before the others have looked would write into theirs.
    static_cast<void>(session().all_agree(true));
    gate().open(keeper());
    stream().synchronize();
    EXPECT_TRUE(std::ranges::all_of(down(data), [](std::uint32_t value) { return value == 0x01010101; }));
    return judged;
  }

 private:
  std::unique_ptr<Stream> keeper_;
  std::unique_ptr<StreamGate> gate_;
};

// A gate that closes between two slices holds up the second.
TEST_F(ClosedGate, HoldsUpASliceThoughTheOneBeforeHasPassed) {
  const DeviceMemory recv = group().allocate(device(), all_bytes());
  judge([&] {
    stream().fill(recv.data(), 0, all_bytes());
    begin_together();
    TwoSlices two(device(), recv.data(), rank(), size());
    group().all_gather_parts(recv.data(), two.parts(), two.slices(), &gate(), stream());
    EXPECT_TRUE(session().all_agree(two.wait_for_first()));
    const Clock::time_point closed = close();
    static_cast<void>(session().all_agree(true));
    two.let_go();
    std::this_thread::sleep_for(kGateTimeout / 5);
    const bool none = two.arrived(1) == 0;
    return opens_after(none, closed, recv.data());
  });
}

// While a rank's gate is closed nothing of it goes to the others.
TEST_F(ClosedGate, HoldsUpARanksPart) {
  const DeviceMemory recv = group().allocate(device(), all_bytes());
  std::vector<Range> parts;
  for (std::size_t r = 0; r < static_cast<std::size_t>(size()); ++r) parts.push_back({r * kBytes, kBytes});
  const Range& mine = parts[static_cast<std::size_t>(rank())];
  const auto there = device().make_event(EventKind::Order);
  judge([&] {
    stream().fill(recv.data(), 0, all_bytes());
    stream().fill(recv.data() + mine.offset, 1, kBytes);
    stream().record(*there);
    begin_together();
    const Clock::time_point closed = close();
    group().all_gather_parts(recv.data(), parts, std::vector<Slice>{{mine, there.get()}}, &gate(), stream());
    std::this_thread::sleep_for(kGateTimeout / 5);
    std::vector<std::uint8_t> seen(all_bytes());
    keeper().copy(seen.data(), recv.data(), seen.size());
    keeper().synchronize();
    const bool none = std::ranges::count(seen, 1) == static_cast<std::ptrdiff_t>(kBytes);
    return opens_after(none, closed, recv.data());
  });
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
