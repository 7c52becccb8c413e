#include "offload/pin_parts.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <thread>

namespace ferry::offload {

namespace {

// Short beside a part (tenths of a second), long beside a look.
constexpr auto kBetweenLooks = std::chrono::milliseconds(1);

}  // namespace

std::vector<PinPart> pin_parts(const ArenaLayout& layout, int ranks) {
  PinPart all = {layout.head.blob};
  for (const BlockPlace& block : layout.blocks) all.push_back(block.blob);
  all.push_back(layout.tail.blob);
  double total = 0;
  for (const Blob& blob : all) total += static_cast<double>(blob.bytes);
  std::vector<PinPart> parts(static_cast<std::size_t>(ranks));
  double before = 0;
  for (const Blob& blob : all) {
    if (blob.bytes == 0) continue;
    const double middle = before + static_cast<double>(blob.bytes) / 2;
    const auto part = static_cast<std::size_t>(middle / total * ranks);
    parts[std::min(part, parts.size() - 1)].push_back(blob);
    before += static_cast<double>(blob.bytes);
  }
  return parts;
}

std::vector<int> pin_order(int rank, int ranks) {
  std::vector<int> order;
  for (int turn = 0; turn < ranks; ++turn) order.push_back((turn + rank) % ranks);
  return order;
}

bool PartLocks::take(int part, const std::function<bool()>& given_up) {
  const std::atomic_ref<std::uint32_t> word(words_[part]);
  std::uint32_t open = 0;
  while (!word.compare_exchange_strong(open, 1, std::memory_order_acquire)) {
    if (given_up()) return false;
    std::this_thread::sleep_for(kBetweenLooks);
    open = 0;
  }
  return true;
}

void PartLocks::give(int part) {
  std::atomic_ref<std::uint32_t>(words_[part]).store(0, std::memory_order_release);
}

}  // namespace ferry::offload
