// The order in which the ranks of a node page-lock their copy, so that all work in parallel and each soon has
// what it copies first.
//
//   rank 0  blob 0    blob 1    blob 2    blob 3    | blob 0    blob 1  ...      each starts at another blob
//   rank 1  blob 1    blob 2    blob 3    blob 0    | blob 1    blob 2  ...
//           `first`: copied in the first passes;    | the rest, in the
//           the stage waits for it                  | background
//
//   divided blob    |   rest   |  first  |        rest        |   first: this rank's even part in any pass
//
// Registering the same pages on several ranks at once can fail, so each blob has a lock.  CUDA refuses a copy
// that crosses the end of a registration: see PinBorders.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "offload/arena/layout.h"

namespace ferry::offload {

// One registration: whole pages of one blob.
struct PinPiece {
  int lock = 0;            // lock of the blob, 0 .. pin_locks() - 1
  std::size_t offset = 0;  // in the arena
  std::size_t bytes = 0;
};

struct PinOrder {
  std::vector<PinPiece> first;
  std::vector<PinPiece> rest;
};

// The order for `rank` of `ranks`: all blobs except the host blob, which no device copies.  Blocks in
// `divided` (indices) are copied in shares of their front and, in the first pass, of the whole, by each
// `sharers` consecutive ranks.
PinOrder pin_order(const ArenaLayout& layout, const std::vector<int>& divided, int rank, int ranks,
                   int sharers);

// Of `shared` blocks, all copied in shares, returns those whose own share a rank page-locks first: all but
// the largest, which is used to measure the links (link_probe.h).
std::vector<int> divided_blocks(const ArenaLayout& layout, std::vector<int> shared);

// Start addresses of a rank's registrations, at which copies are split.
class PinBorders {
 public:
  PinBorders() = default;
  PinBorders(const std::byte* arena, const PinOrder& order);
  // How many of the `bytes` from `data`, all in one blob, a single copy may take.
  std::size_t within(const void* data, std::size_t bytes) const;

 private:
  std::vector<const std::byte*> begins_;  // ascending
};

// Number of locks shared by the ranks of a node.
int pin_locks(const ArenaLayout& layout);

// One lock per blob, the number of ranks that are page-locking, and the number that have filled their part,
// in zero-initialised shared memory.
class PinLocks {
 public:
  static constexpr std::size_t bytes(int locks) { return (static_cast<std::size_t>(locks) + 2) * 4; }
  explicit PinLocks(std::byte* memory)
      : at_it_(reinterpret_cast<std::uint32_t*>(memory)), filled_(at_it_ + 1), words_(at_it_ + 2) {}
  // Called once a rank has filled its part of the memory.
  void filled();
  // True if at least `ranks` ranks have.
  bool filled_by(int ranks) const;
  // Called when a rank starts page-locking, and when it has finished.
  void begin();
  void end();
  // True if no rank is page-locking.
  bool over() const;
  // Acquires a lock, waiting until `given_up` returns true.  Returns true on success.
  bool take(int lock, const std::function<bool()>& given_up);
  void give(int lock);

 private:
  std::uint32_t* at_it_;
  std::uint32_t* filled_;
  std::uint32_t* words_;
};

}  // namespace ferry::offload
