// Ranks on several nodes, which FERRY_TEST_NODES makes up (tests/mpi/parallel.cmake): as many ranks as MPI
// has, in another order than its own.
#include <gtest/gtest.h>
#include <mpi.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <numeric>
#include <thread>

#include "base/clock.h"
#include "parallel/groups.h"
#include "parallel/mpi/environment.h"
#include "tests/support/mpi_fixture.h"

namespace {

constexpr int kSignTag = 2;  // parallel/mpi/comm_thread.cpp
std::atomic<MPI_Comm> signs_go_over = MPI_COMM_NULL;
std::atomic<int> signs_sent = 0;

}  // namespace

extern "C" int MPI_Isend(const void* data, int count, MPI_Datatype type, int to, int tag, MPI_Comm comm,
                         MPI_Request* request) {
  if (tag == kSignTag && comm == signs_go_over) ++signs_sent;
  return PMPI_Isend(data, count, type, to, tag, comm, request);
}

namespace ferry::parallel {
namespace {

class NodesTest : public ::ferry::testing::MpiTest {
 protected:
  // By rank of the session.
  std::vector<int> gathered(int mine) const {
    std::vector<int> all;
    for (const std::string& each : session().all_gather(std::to_string(mine))) all.push_back(std::stoi(each));
    return all;
  }
  static int made_up_node_of(int mpi_rank) {
    return made_up_node(environment_variable("FERRY_TEST_NODES").value_or(""), mpi_rank);
  }
  int mpi_rank_ = std::atoi(environment_variable("OMPI_COMM_WORLD_RANK").value_or("").c_str());
};

TEST_F(NodesTest, RanksOfANodeFollowEachOther) {
  const std::vector<int> mpi_ranks = gathered(mpi_rank_);
  std::vector<int> expected(mpi_ranks.size());
  std::iota(expected.begin(), expected.end(), 0);
  // Nodes in the order of their lowest ranks.
  std::vector<int> lowest(expected.size());
  for (const int rank : expected) {
    const auto of_node = [&](int other) { return made_up_node_of(other) == made_up_node_of(rank); };
    lowest[static_cast<std::size_t>(rank)] = *std::ranges::find_if(expected, of_node);
  }
  std::ranges::stable_sort(expected, {}, [&](int rank) { return lowest[static_cast<std::size_t>(rank)]; });
  EXPECT_EQ(mpi_ranks, expected);
  EXPECT_EQ(mpi_ranks.front(), 0) << "mpirun gives its input to this rank, and reports by it";
  EXPECT_TRUE(session().is_renumbered());
  EXPECT_TRUE(std::ranges::is_sorted(session().nodes()));
  EXPECT_EQ(session().nodes(), gathered(session().node_index()));
  EXPECT_EQ(session().node_count(), 2);
  EXPECT_EQ(session().node_size(), std::ranges::count(session().nodes(), session().node_index()));
  EXPECT_EQ(session().host(), session().all_gather(session().host()).front()) << "this test has one host";
}

TEST_F(NodesTest, NumbersAreThoseOfTheSession) {
  Control& node = session().node();
  EXPECT_EQ(node.numbers()[static_cast<std::size_t>(node.rank())], rank());
  const std::vector<std::string> all = node.all_gather(std::to_string(rank()));
  for (std::size_t i = 0; i < all.size(); ++i) EXPECT_EQ(all[i], std::to_string(node.numbers()[i]));
}

TEST_F(NodesTest, UlyssesIsInsideANodeAndCfgGoesAcross) {
  if (size() % 2 != 0) return;
  const auto device = make_cpu_device();
  const Mesh mesh = make_mesh({.cfg = CfgMode::Parallel}, size(), rank(), 12);
  const Groups groups = make_groups(session(), mesh, *device);
  const int mine = session().node_index();
  std::vector<int> nodes(static_cast<std::size_t>(groups.ulysses->size()));
  groups.ulysses->all_gather(nodes.data(), &mine, sizeof mine, session().comm());
  session().comm().synchronize();
  EXPECT_EQ(nodes, std::vector<int>(nodes.size(), mine));
  std::vector<int> across(2);
  groups.cfg->all_gather(across.data(), &mine, sizeof mine, session().comm());
  session().comm().synchronize();
  EXPECT_EQ(across, (std::vector<int>{0, 1}));
  EXPECT_EQ(groups.copy_sharers->size(), session().node_size());
}

TEST_F(NodesTest, HeartbeatsAreAtMostOneASecond) {
  signs_go_over = session().thread().world();
  session().barrier();
  const Clock::time_point begin = Clock::now();
  const int before = signs_sent;
  while (seconds_since(begin) < 1.5) {
    session().send_heartbeat();
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  session().barrier();  // behind what is queued
  // The watchdogs of several nodes send one a second as well.
  const double most = 2 * (seconds_since(begin) + 1) * (size() - 1);
  EXPECT_GE(signs_sent - before, size() - 1);
  EXPECT_LE(signs_sent - before, most);
}

}  // namespace
}  // namespace ferry::parallel
