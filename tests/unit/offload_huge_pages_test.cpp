#include "offload/arena/huge_pages.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>

#include "base/host/memory_use.h"
#include "tests/support/temporary_folder.h"

namespace ferry::offload {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr std::size_t kGiB = std::size_t{1} << 30;

bool allowed(const std::string& words) {
  const testing::TemporaryFolder root;
  const std::string folder = root.file("sys/kernel/mm/transparent_hugepage");
  std::filesystem::create_directories(folder);
  std::ofstream(folder + "/shmem_enabled") << words << '\n';
  return shared_huge_pages(root.file(""));
}

TEST(HugePages, TheWordInBracketsDecides) {
  EXPECT_TRUE(allowed("always within_size [advise] never deny force"));
  EXPECT_TRUE(allowed("[always] within_size advise never deny force"));
  EXPECT_FALSE(allowed("always within_size advise [never] deny force"));
  EXPECT_FALSE(allowed("always within_size advise never [deny] force"));
}

TEST(HugePages, AKernelWithoutTheSettingHasNone) {
  const testing::TemporaryFolder root;
  EXPECT_FALSE(shared_huge_pages(root.file("")));
}

TEST(HugePages, TheRemedyIsNamedWhereItMatters) {
  EXPECT_THAT(huge_page_advice("dit", 28 * kGiB, false),
              AllOf(HasSubstr("dit: the 30.1 GB"),
                    HasSubstr("echo advise > /sys/kernel/mm/transparent_hugepage/shmem_enabled")));
  EXPECT_EQ(huge_page_advice("dit", 28 * kGiB, true), "");
  EXPECT_EQ(huge_page_advice("vae", kGiB - 1, false), "");
}

// The program's own memory, which most kernels give such pages that asks.
TEST(HugePages, AreCountedInTheMappingsAskedFor) {
  std::ifstream file("/sys/kernel/mm/transparent_hugepage/enabled");
  std::string words;
  std::getline(file, words);
  if (words.find("[madvise]") == std::string::npos) GTEST_SKIP() << "pages of 2 MiB: " << words;
  constexpr std::size_t kBytes = std::size_t{16} << 20;
  const auto map = [](int advice) {
    void* data = ::mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ::madvise(data, kBytes, advice);
    std::memset(data, 1, kBytes);
    return std::unique_ptr<void, void (*)(void*)>(data, [](void* begin) { ::munmap(begin, kBytes); });
  };
  EXPECT_GE(mapped_huge(map(MADV_HUGEPAGE).get(), kBytes), kBytes / 2);
  EXPECT_EQ(mapped_huge(map(MADV_NOHUGEPAGE).get(), kBytes), 0U);
}

}  // namespace
}  // namespace ferry::offload
