#include "offload/sequential/staging_pool.h"

#include <algorithm>
#include <stdexcept>

#include "offload/arena/layout.h"

namespace ferry::offload {

void StagingPool::reserve(std::size_t bytes) {
  if (!regions_.empty() || bytes == 0) return;
  regions_.push_back(
      {AccountedMemory(device_, account_, Category::Temporary, round_up(bytes, kTensorAlign)), {}});
}

// First fit.
std::byte* StagingPool::fit(Region& region, std::size_t bytes) {
  std::size_t begin = 0;
  auto next = region.taken.begin();
  for (; next != region.taken.end() && next->begin < begin + bytes; ++next) begin = next->end;
  if (begin + bytes > region.memory.bytes()) return nullptr;
  region.taken.insert(next, {.begin = begin, .end = begin + bytes});
  return region.memory.data() + begin;
}

std::byte* StagingPool::take(std::size_t bytes) {
  const std::size_t rounded = std::max(round_up(bytes, kTensorAlign), kTensorAlign);
  for (Region& region : regions_) {
    if (std::byte* data = fit(region, rounded)) return data;
  }
  regions_.push_back({AccountedMemory(device_, account_, Category::Temporary, rounded), {}});
  return fit(regions_.back(), rounded);
}

void StagingPool::give(const std::byte* data) {
  for (Region& region : regions_) {
    if (data < region.memory.data() || data >= region.memory.data() + region.memory.bytes()) continue;
    const auto begin = static_cast<std::size_t>(data - region.memory.data());
    const std::size_t given =
        std::erase_if(region.taken, [=](const Range& each) { return each.begin == begin; });
    if (given == 1) return;
  }
  throw std::invalid_argument("staging pool: a range was given back that is not out");
}

void StagingPool::clear() { regions_.clear(); }

std::size_t StagingPool::bytes() const {
  std::size_t sum = 0;
  for (const Region& region : regions_) sum += region.memory.bytes();
  return sum;
}

}  // namespace ferry::offload
