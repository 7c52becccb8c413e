// In which order the ranks of a node page-lock their copy, so that all work at once and each has soon what it
// copies first.
//
//   rank 0  blob 0    blob 1    blob 2    blob 3    | blob 0    blob 1  ...      each begins at another blob
//   rank 1  blob 1    blob 2    blob 3    blob 0    | blob 1    blob 2  ...
//           `first`: what it copies in the first    | the rest, in the
//           passes; the stage waits for it          | background
//
//   divided blob    |   rest   |  first  |        rest        |   first: this rank's even part in any pass
//
// Ranks that register the same pages at the same moment can fail, so a rank waits until another has let go of
// the blob.  CUDA refuses a copy that runs out of one registration: see PinBorders.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "offload/arena/layout.h"

namespace ferry::offload {

// What one registration covers: whole pages of one blob.
struct PinPiece {
  int lock = 0;            // the blob's, 0 .. pin_locks() - 1
  std::size_t offset = 0;  // in the arena
  std::size_t bytes = 0;
};

struct PinOrder {
  std::vector<PinPiece> first;
  std::vector<PinPiece> rest;
};

// What `rank` of `ranks` page-locks: every blob but the host's, which no device copies.  Those of `divided`,
// block indices, are copied in shares of their front and, in the first pass, of the whole.
PinOrder pin_order(const ArenaLayout& layout, const std::vector<int>& divided, int rank, int ranks);

// Of `shared` blocks, which are all copied in shares, those of which a rank page-locks its own first: never
// the largest, which is what the links are measured with (link_test.h).
std::vector<int> divided_blocks(const ArenaLayout& layout, std::vector<int> shared);

// Where the registrations of a rank begin, so that copies can be cut there.
class PinBorders {
 public:
  PinBorders() = default;
  PinBorders(const std::byte* arena, const PinOrder& order);
  // How many of the `bytes` from `data` on, which are of one blob, one copy may take.
  std::size_t within(const void* data, std::size_t bytes) const;

 private:
  std::vector<const std::byte*> begins_;  // ascending
};

// How many locks the ranks of a node share.
int pin_locks(const ArenaLayout& layout);

// One lock for each blob, how many ranks are at it, and how many have filled their part, in memory that the
// ranks share: zero at first.
class PinLocks {
 public:
  static constexpr std::size_t bytes(int locks) { return (static_cast<std::size_t>(locks) + 2) * 4; }
  explicit PinLocks(std::byte* memory)
      : at_it_(reinterpret_cast<std::uint32_t*>(memory)), filled_(at_it_ + 1), words_(at_it_ + 2) {}
  // A rank has filled its part of the memory.
  void filled();
  // At least that many ranks have.
  bool filled_by(int ranks) const;
  // A rank begins to page-lock; it will page-lock nothing more.
  void begin();
  void end();
  // No rank is at it.
  bool over() const;
  // Waits for whoever has it, until `given_up` says true.  Returns whether this rank has it now.
  bool take(int lock, const std::function<bool()>& given_up);
  void give(int lock);

 private:
  std::uint32_t* at_it_;
  std::uint32_t* filled_;
  std::uint32_t* words_;
};

}  // namespace ferry::offload
