#include "worker/record/memory_watch.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <chrono>
#include <cstring>
#include <memory>
#include <thread>

#include "base/error.h"
#include "base/host/memory_use.h"

namespace ferry::worker {
namespace {

constexpr std::size_t kMiB = std::size_t{1} << 20;

TEST(MemoryWatch, KeepsThePeakOfThePagesThatAreThisProcesss) {
  MemoryWatch watch;
  const std::size_t before = watch.peak_bytes();
  {
    // More than is asked for: the heap of a thread of an earlier test may go meanwhile.
    const auto block = std::make_unique<char[]>(256 * kMiB);
    std::memset(block.get(), 1, 256 * kMiB);
    EXPECT_GE(watch.peak_bytes(), before + 120 * kMiB);
  }
  EXPECT_GE(watch.peak_bytes(), before + 120 * kMiB) << "what has been given back was there";
}

TEST(MemoryWatch, AddsThisProcesssPartOfWhatIsShared) {
  MemoryWatch watch;
  const std::size_t before = watch.peak_bytes();
  watch.set_shared(1000 * kMiB);
  const std::size_t after = watch.peak_bytes();
  EXPECT_GE(after, before + 990 * kMiB);
  EXPECT_LE(after, before + 1010 * kMiB);
}

// As where the process has no descriptor left to open /proc with.
TEST(MemoryWatch, ALookThatFailsOnItsThreadIsLeftOut) {
  rlimit files = {};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &files), 0);
  const rlimit none = {.rlim_cur = 0, .rlim_max = files.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  MemoryWatch watch;
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  EXPECT_THROW(watch.peak_bytes(), SystemError);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &files), 0);
  EXPECT_GT(watch.peak_bytes(), 0U);
}

}  // namespace
}  // namespace ferry::worker
