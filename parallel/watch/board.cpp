#include "parallel/watch/board.h"

#include <unistd.h>

#include <array>
#include <cstring>
#include <new>
#include <utility>

#include "parallel/watch/process.h"

namespace ferry::parallel {

namespace {

constexpr std::array kNames = {"start",  "load",   "text",   "denoise", "exchange",
                               "gather", "decode", "encode", "write",   "end"};
static_assert(kNames.size() == static_cast<std::size_t>(Stage::End) + 1,
              "a name for each stage, in their order");

Clock::time_point time_of(std::int64_t nanoseconds) {
  return Clock::time_point(std::chrono::nanoseconds(nanoseconds));
}

}  // namespace

const char* name_of(Stage stage) { return kNames.at(static_cast<std::size_t>(stage)); }

std::string text_of(const Where& where) {
  std::string text = name_of(where.stage);
  if (where.step > 0) text += ", step " + std::to_string(where.step);
  if (where.block >= 0) text += ", block " + std::to_string(where.block);
  return text;
}

//   63    56 55         24 23        0
//   [ stage ][    step    ][ block + 1 ]
std::uint64_t packed(const Where& where) {
  return static_cast<std::uint64_t>(where.stage) << 56 | static_cast<std::uint64_t>(where.step) << 24 |
         static_cast<std::uint64_t>(where.block + 1);
}

Where unpacked(std::uint64_t bits) {
  return {.stage = static_cast<Stage>(bits >> 56),
          .step = static_cast<int>(bits >> 24 & 0xffffffffU),
          .block = static_cast<int>(bits & 0xffffffU) - 1};
}

// The memory: a head, then a place per rank.
struct alignas(Place) Board::Head {
  std::atomic<int> down;
};

std::size_t Board::bytes(int ranks) { return sizeof(Head) + static_cast<std::size_t>(ranks) * sizeof(Place); }

Board::Board(std::shared_ptr<void> memory, std::vector<int> ranks)
    : memory_(std::move(memory)), ranks_(std::move(ranks)), visible_(ranks_.size(), false) {}

Board Board::alone(int rank) {
  constexpr std::align_val_t kAlignment{alignof(Place)};
  void* const memory = ::operator new(bytes(1), kAlignment);
  std::memset(memory, 0, bytes(1));
  return {std::shared_ptr<void>(memory, [](void* own) { ::operator delete(own, kAlignment); }), {rank}};
}

Place& Board::place(int index) const { return reinterpret_cast<Place*>(&head() + 1)[index]; }

void Board::enter(int index) const {
  Place& mine = place(index);
  mine.started = start_time(::getpid()).value_or(0);
  mine.tick = mine.beat = Clock::now().time_since_epoch().count();
  mine.process = ::getpid();
}

void Board::look_around() {
  for (int i = 0; i < size(); ++i) {
    const Place& one = place(i);
    const auto found = start_time(one.process);
    visible_[static_cast<std::size_t>(i)] = found && *found == one.started;
  }
}

Seen Board::seen(int index) const {
  const Place& from = place(index);
  Seen seen{.rank = rank(index),
            .process = from.process,
            .started = from.started,
            .where = unpacked(from.where),
            .tick = time_of(from.tick),
            .beat = time_of(from.beat),
            .waits = from.waits > 0,
            .left = from.left,
            .asked = from.asked,
            .gives_up = from.gives_up,
            .group = from.group,
            .gone = false,
            .device_free = from.device_free,
            .host_free = from.host_free};
  if (!seen.left && visible_[static_cast<std::size_t>(index)]) {
    seen.gone = has_ended(seen.process, seen.started);
    // It may have left in the meantime.
    seen.gone = seen.gone && !from.left;
  }
  return seen;
}

bool Board::claim(int code) const {
  int running = 0;
  return head().down.compare_exchange_strong(running, code);
}

int Board::down() const { return head().down; }

}  // namespace ferry::parallel
