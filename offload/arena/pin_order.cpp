#include "offload/arena/pin_order.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <thread>

namespace ferry::offload {

namespace {

// Short compared with a blob (milliseconds and more), long compared with an attempt.
constexpr auto kBetweenTries = std::chrono::microseconds(200);

// Head, blocks, tail.
std::vector<const BlockPlace*> places(const ArenaLayout& layout) {
  std::vector<const BlockPlace*> all = {&layout.head};
  for (const BlockPlace& block : layout.blocks) all.push_back(&block);
  all.push_back(&layout.tail);
  return all;
}

// The first blob of this rank's share, which is about 1/ranks of the bytes.
std::size_t start_of(const std::vector<const BlockPlace*>& all, int rank, int ranks) {
  double total = 0;
  for (const BlockPlace* place : all) total += static_cast<double>(place->blob.bytes);
  double before = 0;
  for (std::size_t i = 0; i < all.size(); ++i) {
    const double middle = before + static_cast<double>(all[i]->blob.bytes) / 2;
    if (middle * ranks >= total * rank) return i;
    before += static_cast<double>(all[i]->blob.bytes);
  }
  return 0;
}

// Adds the bytes [begin, end) of `place`, if any.
void add(std::vector<PinPiece>& pieces, int lock, const BlockPlace& place, std::size_t begin,
         std::size_t end) {
  if (begin < end) pieces.push_back({lock, place.blob.offset + begin, end - begin});
}

}  // namespace

PinOrder pin_order(const ArenaLayout& layout, const std::vector<int>& divided, int rank, int ranks,
                   int sharers) {
  const std::vector<const BlockPlace*> all = places(layout);
  const std::size_t start = start_of(all, rank, ranks);
  const auto count = static_cast<std::size_t>(sharers);
  const auto r = static_cast<std::size_t>(rank % sharers);
  PinOrder order;
  for (std::size_t i = 0; i < all.size(); ++i) {
    const std::size_t index = (start + i) % all.size();
    const int lock = static_cast<int>(index);
    const BlockPlace& place = *all[index];
    const std::size_t end = round_up(place.blob.bytes, kBlobAlign);
    if (std::find(divided.begin(), divided.end(), lock - 1) == divided.end()) {
      add(order.first, lock, place, 0, end);
      continue;
    }
    // From the start of its share of the front to the end of its share of the whole.
    const std::size_t from = place.front / count * r / kBlobAlign * kBlobAlign;
    const std::size_t to = std::min(end, round_up(place.blob.bytes / count * (r + 1), kBlobAlign));
    add(order.first, lock, place, from, to);
    add(order.rest, lock, place, 0, from);
    add(order.rest, lock, place, to, end);
  }
  return order;
}

std::vector<int> divided_blocks(const ArenaLayout& layout, std::vector<int> shared) {
  const std::size_t largest = largest_blob(layout).offset;
  std::erase_if(shared, [&](int block) { return block_of(layout, block).blob.offset == largest; });
  return shared;
}

PinBorders::PinBorders(const std::byte* arena, const PinOrder& order) {
  for (const auto* pieces : {&order.first, &order.rest}) {
    for (const PinPiece& piece : *pieces) begins_.push_back(arena + piece.offset);
  }
  std::sort(begins_.begin(), begins_.end());
}

std::size_t PinBorders::within(const void* data, std::size_t bytes) const {
  const auto* begin = static_cast<const std::byte*>(data);
  const auto next = std::upper_bound(begins_.begin(), begins_.end(), begin);
  return next == begins_.end() ? bytes : std::min(bytes, static_cast<std::size_t>(*next - begin));
}

int pin_locks(const ArenaLayout& layout) { return static_cast<int>(layout.blocks.size()) + 2; }

void PinLocks::filled() { std::atomic_ref<std::uint32_t>(*filled_).fetch_add(1); }

bool PinLocks::filled_by(int ranks) const {
  return std::atomic_ref<std::uint32_t>(*filled_).load() >= static_cast<std::uint32_t>(ranks);
}

void PinLocks::begin() { std::atomic_ref<std::uint32_t>(*at_it_).fetch_add(1); }

void PinLocks::end() { std::atomic_ref<std::uint32_t>(*at_it_).fetch_sub(1); }

bool PinLocks::over() const { return std::atomic_ref<std::uint32_t>(*at_it_).load() == 0; }

bool PinLocks::take(int lock, const std::function<bool()>& given_up) {
  const std::atomic_ref<std::uint32_t> word(words_[lock]);
  std::uint32_t open = 0;
  while (!word.compare_exchange_strong(open, 1, std::memory_order_acquire)) {
    if (given_up()) return false;
    std::this_thread::sleep_for(kBetweenTries);
    open = 0;
  }
  return true;
}

void PinLocks::give(int lock) {
  std::atomic_ref<std::uint32_t>(words_[lock]).store(0, std::memory_order_release);
}

}  // namespace ferry::offload
