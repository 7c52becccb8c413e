// Group::send_recv over MPI.
#include <gtest/gtest.h>

#include <cstdint>
#include <stdexcept>
#include <vector>

#include "base/device.h"
#include "parallel/mpi/mpi_group.h"
#include "tests/support/mpi_fixture.h"

namespace ferry::parallel {
namespace {

class SendRecvTest : public ferry::testing::MpiTest {
 protected:
  std::unique_ptr<Device> device_ = make_cpu_device();
};

// What rank `from` puts at position `i` of its message to rank `to`.
std::uint32_t value(int from, int to, std::size_t i) {
  return static_cast<std::uint32_t>(from * 1000003 + to * 10007) + static_cast<std::uint32_t>(i) * 7;
}

// Every rank tells the one before and the one after; the line has two ends.
TEST_F(SendRecvTest, ReachesBothNeighboursForAnyMessageSize) {
  for (const std::size_t message_bytes : {std::size_t{1000}, MpiGroup::kMessageBytes}) {
    MpiGroup group(session().thread(), MPI_COMM_WORLD, message_bytes);
    for (const std::size_t count : {0, 1, 251, 100003}) {
      std::vector<std::uint32_t> send;
      for (int to = 0; to < size(); ++to) {
        for (std::size_t i = 0; i < count; ++i) send.push_back(value(rank(), to, i));
      }
      std::vector<std::uint32_t> recv(2 * count);
      std::vector<Outgoing> sends;
      std::vector<Incoming> receives;
      for (const int peer : {rank() - 1, rank() + 1}) {
        if (peer < 0 || peer == size()) continue;
        sends.push_back({peer, send.data() + peer * count, count * 4});
        receives.push_back({peer, recv.data() + (peer < rank() ? 0 : count), count * 4});
      }
      group.send_recv(sends, receives, device_->compute());
      std::vector<std::uint32_t> expected(2 * count);
      for (std::size_t i = 0; i < count; ++i) {
        if (rank() > 0) expected[i] = value(rank() - 1, rank(), i);
        if (rank() + 1 < size()) expected[count + i] = value(rank() + 1, rank(), i);
      }
      EXPECT_EQ(recv, expected) << count << " values, " << message_bytes;
    }
  }
}

// Two messages of different sizes from every other rank to the first; between a pair they keep their order.
TEST_F(SendRecvTest, GathersUnequalPiecesAndIdleRanksStayAway) {
  MpiGroup group(session().thread(), MPI_COMM_WORLD, 1000);
  const auto count_of = [](int rank) { return static_cast<std::size_t>(rank) * 997; };
  const int last = size() > 2 ? size() - 1 : size();  // from three ranks on the last has no messages
  std::vector<std::vector<std::uint32_t>> got(static_cast<std::size_t>(size()));
  std::vector<Incoming> receives;
  if (rank() == 0) {
    for (int from = 1; from < last; ++from) {
      got[from].resize(count_of(from) + 3);
      receives.push_back({from, got[from].data(), count_of(from) * 4});
      receives.push_back({from, got[from].data() + count_of(from), 12});
    }
    group.send_recv({}, receives, device_->compute());
  } else if (rank() < last) {
    std::vector<std::uint32_t> mine;
    for (std::size_t i = 0; i < count_of(rank()) + 3; ++i) mine.push_back(value(rank(), 0, i));
    const std::vector<Outgoing> sends = {{0, mine.data(), count_of(rank()) * 4},
                                         {0, mine.data() + count_of(rank()), 12}};
    group.send_recv(sends, {}, device_->compute());
  }
  for (const Incoming& message : receives) {
    const auto& values = got[message.peer];
    for (std::size_t i = 0; i < values.size(); ++i) ASSERT_EQ(values[i], value(message.peer, 0, i)) << i;
  }
}

TEST_F(SendRecvTest, RefusesPeersThatAreNotThere) {
  MpiGroup group(session().thread(), MPI_COMM_WORLD);
  char byte = 0;
  for (const int peer : {-1, rank(), size()}) {
    const Outgoing out = {peer, &byte, 1};
    const Incoming in = {peer, &byte, 1};
    EXPECT_THROW(group.send_recv({&out, 1}, {}, device_->compute()), std::invalid_argument);
    EXPECT_THROW(group.send_recv({}, {&in, 1}, device_->compute()), std::invalid_argument);
  }
}

}  // namespace
}  // namespace ferry::parallel
