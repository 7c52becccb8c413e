// base/host/memory_use.h, on this machine and on made-up trees.
#include "base/host/memory_use.h"

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <vector>

#include "base/error.h"

namespace ferry {
namespace {

namespace fs = std::filesystem;
constexpr std::size_t kMiB = std::size_t{1} << 20;

class HostMemoryTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "ferry-memory-XXXXXX").string();
    root_ = ::mkdtemp(name.data());
    write("/proc/meminfo", "MemTotal:       1024000 kB\nMemFree:        5 kB\nMemAvailable:    512000 kB\n");
  }
  void TearDown() override { fs::remove_all(root_); }
  void write(const std::string& path, const std::string& text) {
    fs::create_directories(fs::path(root_ + path).parent_path());
    std::ofstream(root_ + path) << text;
  }
  std::string root_;
};

TEST_F(HostMemoryTest, WithoutACgroupIsTheMachine) {
  const HostMemory memory = host_memory(root_);
  EXPECT_EQ(memory.total_bytes, 1000 * kMiB);
  EXPECT_EQ(memory.available_bytes, 500 * kMiB);
  EXPECT_FALSE(memory.limited_by_cgroup);
}

TEST_F(HostMemoryTest, TakesTheSmallestLimitOnTheWayUpInV2) {
  write("/proc/self/cgroup", "0::/slice/job\n");
  write("/sys/fs/cgroup/slice/job/memory.max", "max\n");
  write("/sys/fs/cgroup/slice/memory.max", std::to_string(300 * kMiB));
  write("/sys/fs/cgroup/slice/memory.current", std::to_string(250 * kMiB));
  write("/sys/fs/cgroup/slice/memory.stat", "anon 5\ninactive_file " + std::to_string(100 * kMiB) + "\n");
  const HostMemory memory = host_memory(root_);
  EXPECT_EQ(memory.total_bytes, 300 * kMiB);
  EXPECT_EQ(memory.available_bytes, 150 * kMiB);  // 300 - (250 - 100 that can be dropped)
  EXPECT_TRUE(memory.limited_by_cgroup);
}

TEST_F(HostMemoryTest, ReadsTheLimitOfV1) {
  write("/proc/self/cgroup", "5:cpu,cpuacct:/a\n4:memory:/docker/1\n");
  write("/sys/fs/cgroup/memory/docker/1/memory.limit_in_bytes", std::to_string(200 * kMiB));
  write("/sys/fs/cgroup/memory/docker/1/memory.usage_in_bytes", std::to_string(50 * kMiB));
  write("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712");
  const HostMemory memory = host_memory(root_);
  EXPECT_EQ(memory.total_bytes, 200 * kMiB);
  EXPECT_EQ(memory.available_bytes, 150 * kMiB);
  EXPECT_TRUE(memory.limited_by_cgroup);
}

// A container's own group is the mount: its path, as the host sees it, is not there.
TEST_F(HostMemoryTest, ReadsTheLimitOfAContainerWhosePathIsNotVisible) {
  for (const bool v2 : {true, false}) {
    write("/proc/self/cgroup", v2 ? "0::/system.slice/docker-1.scope\n" : "4:memory:/docker/1\n");
    const std::string mount = v2 ? "/sys/fs/cgroup/" : "/sys/fs/cgroup/memory/";
    write(mount + (v2 ? "memory.max" : "memory.limit_in_bytes"), std::to_string(200 * kMiB));
    write(mount + (v2 ? "memory.current" : "memory.usage_in_bytes"), std::to_string(50 * kMiB));
    EXPECT_EQ(host_memory(root_).available_bytes, 150 * kMiB) << v2;
  }
}

// Slurm: the node's jobs are in one group, this job in it, its step in that.
TEST_F(HostMemoryTest, OfNestedGroupsTheOneWithTheLeastLeftDecides) {
  const auto group = [&](const std::string& path, std::size_t limit, std::size_t used) {
    write("/sys/fs/cgroup/memory" + path + "/memory.limit_in_bytes", std::to_string(limit * kMiB));
    write("/sys/fs/cgroup/memory" + path + "/memory.usage_in_bytes", std::to_string(used * kMiB));
  };
  write("/proc/self/cgroup", "4:memory:/slurm/job_1/step_0\n0::/\n");
  group("/slurm", 900, 880);
  group("/slurm/job_1", 300, 100);
  group("/slurm/job_1/step_0", 350, 90);
  EXPECT_EQ(host_memory(root_).total_bytes, 300 * kMiB);
  EXPECT_EQ(host_memory(root_).available_bytes, 20 * kMiB) << "other jobs take the rest";
  group("/slurm", 900, 500);
  EXPECT_EQ(host_memory(root_).available_bytes, 200 * kMiB);
}

TEST_F(HostMemoryTest, ALimitAboveTheMachineIsNone) {
  write("/proc/self/cgroup", "0::/\n");
  write("/sys/fs/cgroup/memory.max", std::to_string(4000 * kMiB));
  write("/sys/fs/cgroup/memory.current", std::to_string(10 * kMiB));
  const HostMemory memory = host_memory(root_);
  EXPECT_EQ(memory.total_bytes, 1000 * kMiB);
  EXPECT_EQ(memory.available_bytes, 500 * kMiB);
  EXPECT_FALSE(memory.limited_by_cgroup);
}

TEST_F(HostMemoryTest, MoreUsedThanAllowedLeavesNothing) {
  write("/proc/self/cgroup", "0::/\n");
  write("/sys/fs/cgroup/memory.max", std::to_string(100 * kMiB));
  write("/sys/fs/cgroup/memory.current", std::to_string(101 * kMiB));
  EXPECT_EQ(host_memory(root_).available_bytes, 0u);
}

TEST_F(HostMemoryTest, AMachineWithoutProcIsAnError) {
  EXPECT_THROW(host_memory(root_ + "/none"), SystemError);
  EXPECT_THROW(process_memory(root_ + "/none"), SystemError);
}

TEST(ProcessMemory, GrowsWithWhatIsTouched) {
  const ProcessMemory before = process_memory();
  std::vector<char> block(64 * kMiB);
  std::memset(block.data(), 1, block.size());
  const ProcessMemory after = process_memory();
  EXPECT_GE(after.rss_bytes, before.rss_bytes + 60 * kMiB);
  EXPECT_GE(after.anon_bytes, before.anon_bytes + 60 * kMiB);
  EXPECT_GT(after.file_bytes, kMiB);  // this program
  EXPECT_GE(after.peak_rss_bytes, after.rss_bytes - kMiB);
  EXPECT_GE(mapped_pss(block.data(), block.size()), 60 * kMiB);
  EXPECT_GT(host_memory().total_bytes, after.rss_bytes);
}

}  // namespace
}  // namespace ferry
