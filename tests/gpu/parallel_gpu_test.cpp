// parallel/nccl/nccl_group.h and the binding of ranks to GPUs, on as many GPUs as there are ranks.
#include <gtest/gtest.h>

#include <vector>

#include "parallel/nccl/nccl_group.h"
#include "tests/support/ranks_fixture.h"

namespace ferry::parallel {
namespace {

class NcclGroupTest : public ferry::testing::DeviceRanksTest {
 protected:
  void SetUp() override {
    DeviceRanksTest::SetUp();
    if (has_device()) group_ = make_nccl_group(session().world(), 60, nullptr);
  }
  void TearDown() override {
    group_.reset();
    DeviceRanksTest::TearDown();
  }
  // Host values on the device and back.
  DeviceMemory up(const std::vector<std::uint32_t>& values) {
    DeviceMemory memory = device().allocate(values.size() * 4);
    device().compute().copy(memory.data(), values.data(), values.size() * 4);
    device().compute().synchronize();
    return memory;
  }
  std::vector<std::uint32_t> down(const DeviceMemory& memory) {
    std::vector<std::uint32_t> values(memory.bytes() / 4);
    device().compute().copy(values.data(), memory.data(), memory.bytes());
    device().compute().synchronize();
    return values;
  }
  static std::uint32_t value(int from, int to, std::size_t i) {
    return static_cast<std::uint32_t>(from * 1000003 + to * 10007) + static_cast<std::uint32_t>(i) * 7;
  }
  std::unique_ptr<Group> group_;
};

TEST_F(NcclGroupTest, AllToAllTradesPieces) {
  EXPECT_EQ(group_->rank(), rank());
  EXPECT_EQ(group_->size(), size());
  EXPECT_EQ(group_->backend().substr(0, 5), "nccl ");
  for (const std::size_t count : {std::size_t{1}, std::size_t{1001}, std::size_t{1} << 20}) {
    std::vector<std::uint32_t> mine;
    std::vector<std::uint32_t> expected;
    for (int other = 0; other < size(); ++other) {
      for (std::size_t i = 0; i < count; ++i) {
        mine.push_back(value(rank(), other, i));
        expected.push_back(value(other, rank(), i));
      }
    }
    const DeviceMemory send = up(mine);
    const DeviceMemory recv = up(std::vector<std::uint32_t>(mine.size()));
    group_->all_to_all(recv.data(), send.data(), count * 4, device().compute());
    group_->check();
    EXPECT_EQ(down(recv), expected);
  }
}

TEST_F(NcclGroupTest, AllGatherWorksInPlaceAndBroadcastFromEveryRoot) {
  constexpr std::size_t kCount = 5003;
  std::vector<std::uint32_t> all;
  for (int from = 0; from < size(); ++from) {
    for (std::size_t i = 0; i < kCount; ++i) all.push_back(value(from, 0, i));
  }
  std::vector<std::uint32_t> mine(all.size());
  std::copy_n(all.begin() + rank() * kCount, kCount, mine.begin() + rank() * kCount);
  const DeviceMemory recv = up(mine);
  group_->all_gather(recv.data(), recv.data() + rank() * kCount * 4, kCount * 4, device().compute());
  EXPECT_EQ(down(recv), all);
  for (int root = 0; root < size(); ++root) {
    const DeviceMemory buffer = up(std::vector<std::uint32_t>(77, value(rank(), 1, 0)));
    group_->broadcast(buffer.data(), buffer.bytes(), root, device().compute());
    EXPECT_EQ(down(buffer), std::vector<std::uint32_t>(77, value(root, 1, 0)));
  }
  EXPECT_THROW(group_->broadcast(nullptr, 0, size(), device().compute()), std::invalid_argument);
  group_->all_gather(nullptr, nullptr, 0, device().compute());
}

TEST_F(NcclGroupTest, SendRecvReachesBothNeighboursAndGathersUnequalPieces) {
  constexpr std::size_t kCount = 100003;
  std::vector<std::uint32_t> mine;
  for (std::size_t i = 0; i < kCount; ++i) mine.push_back(value(rank(), 0, i));
  const DeviceMemory send = up(mine);
  const DeviceMemory recv = up(std::vector<std::uint32_t>(2 * kCount));
  std::vector<std::uint32_t> expected(2 * kCount);
  std::vector<Outgoing> sends;
  std::vector<Incoming> receives;
  for (const int peer : {rank() - 1, rank() + 1}) {
    if (peer < 0 || peer == size()) continue;
    const std::size_t place = peer < rank() ? 0 : kCount;
    sends.push_back({peer, send.data(), kCount * 4});
    receives.push_back({peer, recv.data() + place * 4, kCount * 4});
    for (std::size_t i = 0; i < kCount; ++i) expected[place + i] = value(peer, 0, i);
  }
  group_->send_recv(sends, receives, device().compute());
  group_->check();
  EXPECT_EQ(down(recv), expected);

  // Rank r has 1000 r values for the first rank; the first has none for itself.
  const DeviceMemory all = up(std::vector<std::uint32_t>(kCount));
  sends.clear();
  receives.clear();
  std::vector<std::uint32_t> gathered(kCount);
  std::size_t place = 0;
  for (int from = 1; from < size(); ++from) {
    const std::size_t count = 1000 * static_cast<std::size_t>(from);
    if (rank() == from) sends.push_back({0, send.data(), count * 4});
    if (rank() == 0) {
      receives.push_back({from, all.data() + place * 4, count * 4});
      for (std::size_t i = 0; i < count; ++i) gathered[place + i] = value(from, 0, i);
    }
    place += count;
  }
  group_->send_recv(sends, receives, device().compute());
  EXPECT_EQ(down(all), gathered);
  const Outgoing own = {rank(), send.data(), 4};
  EXPECT_THROW(group_->send_recv({&own, 1}, {}, device().compute()), std::invalid_argument);
}

TEST_F(NcclGroupTest, RefusesAStreamOfTheCpu) {
  const auto cpu = make_cpu_device();
  char byte = 0;
  EXPECT_THROW(group_->broadcast(&byte, 1, 0, cpu->compute()), std::invalid_argument);
}

}  // namespace
}  // namespace ferry::parallel
