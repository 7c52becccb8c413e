#include "worker/memory_watch.h"

#include <gtest/gtest.h>

#include <cstring>
#include <memory>

#include "base/memory_use.h"

namespace ferry::worker {
namespace {

constexpr std::size_t kMiB = std::size_t{1} << 20;

TEST(MemoryWatch, KeepsThePeakOfThePagesThatAreThisProcesss) {
  MemoryWatch watch;
  const std::size_t before = watch.peak_bytes();
  {
    const auto block = std::make_unique<char[]>(128 * kMiB);
    std::memset(block.get(), 1, 128 * kMiB);
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

}  // namespace
}  // namespace ferry::worker
