#include "base/host/numa.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "tests/support/temporary_folder.h"

namespace ferry {
namespace {

// Two sockets of four cores; a third node with memory but no cores, as memory expanders are.
const std::vector<NumaNode> kTwoSockets = {{0, {0, 1, 2, 3}}, {1, {4, 5, 6, 7}}, {2, {}}};
const std::vector<int> kAllCores = {0, 1, 2, 3, 4, 5, 6, 7};

TEST(Numa, OneNodeLeavesNothingToChoose) {
  const std::vector<NumaNode> one = {{0, {0, 1}}};
  EXPECT_EQ(choose_numa_node(one, {.gpu_node = 0, .cores = {0, 1}}), -1);
  EXPECT_EQ(choose_numa_node({}, {.cores = {0, 1}}), -1);
}

TEST(Numa, TheGpusNodeComesBeforeTheCores) {
  EXPECT_EQ(choose_numa_node(kTwoSockets, {.gpu_node = 1, .cores = {0, 1}}), 1);
  EXPECT_EQ(choose_numa_node(kTwoSockets, {.gpu_node = 9, .cores = {0, 1}}), 0) << "a node without memory";
}

TEST(Numa, MostOfTheCoresDecideWhereNoGpuDoes) {
  EXPECT_EQ(choose_numa_node(kTwoSockets, {.cores = {3, 4, 5}}), 1);
  EXPECT_EQ(choose_numa_node(kTwoSockets, {.cores = {2, 3, 4}}), 0);
  EXPECT_EQ(choose_numa_node(kTwoSockets, {.cores = {77}}), -1);
}

TEST(Numa, RanksThatMayRunAnywhereAreDealtInRuns) {
  std::vector<int> homes;
  for (int rank = 0; rank < 4; ++rank) {
    homes.push_back(choose_numa_node(kTwoSockets, {.rank = rank, .ranks = 4, .cores = kAllCores}));
  }
  EXPECT_EQ(homes, (std::vector<int>{0, 0, 1, 1}));
}

TEST(Numa, ReadsTheSystemsFolders) {
  const testing::TemporaryFolder folder;
  const auto write = [&](const std::string& path, const std::string& text) {
    const std::filesystem::path full = folder.file(path);
    std::filesystem::create_directories(full.parent_path());
    std::ofstream(full) << text;
  };
  write("sys/devices/system/node/has_memory", "0,2\n");
  write("sys/devices/system/node/node0/cpulist", "0-2,8\n");
  write("sys/devices/system/node/node2/cpulist", "\n");
  write("sys/bus/pci/devices/0000:17:00.0/numa_node", "2\n");
  const std::vector<NumaNode> nodes = numa_nodes(folder.path());
  ASSERT_EQ(nodes.size(), 2U);
  EXPECT_EQ(nodes[0].cores, (std::vector<int>{0, 1, 2, 8}));
  EXPECT_EQ(nodes[1].id, 2);
  EXPECT_TRUE(nodes[1].cores.empty());
  EXPECT_EQ(numa_node_of_pci("0000:17:00.0", folder.path()), 2);
  EXPECT_EQ(numa_node_of_pci("0000:99:00.0", folder.path()), -1);
  EXPECT_EQ(numa_node_of_pci("", folder.path()), -1);
  EXPECT_TRUE(numa_nodes(folder.file("nothing")).empty());
}

TEST(Numa, ThisProcessMayRunSomewhere) { EXPECT_FALSE(allowed_cores().empty()); }

}  // namespace
}  // namespace ferry
