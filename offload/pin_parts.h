// How the ranks of a node divide the page-locking of their copy, so that all work at once.
//
//   turn      0        1        2        3
//   rank 0  part 0   part 1   part 2   part 3      a part is a run of whole blobs, about 1/P of the bytes:
//   rank 1  part 1   part 2   part 3   part 0      CUDA refuses a copy that runs from one registration into
//   rank 2  part 2   part 3   part 0   part 1      the next
//   rank 3  part 3   part 0   part 1   part 2
//
// Ranks that register the same pages at the same moment can fail, so a rank that is early waits until the
// other has let go of the part.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "offload/layout.h"

namespace ferry::offload {

using PinPart = std::vector<Blob>;

// `ranks` parts, in arena order; one may be empty.  The host blob, which no device copies, is in none.
std::vector<PinPart> pin_parts(const ArenaLayout& layout, int ranks);

// Which part `rank` of `ranks` page-locks in each turn.
std::vector<int> pin_order(int rank, int ranks);

// One lock for each part, in memory that the ranks share: 4 bytes each, zero at first.
class PartLocks {
 public:
  static constexpr std::size_t bytes(int ranks) { return static_cast<std::size_t>(ranks) * 4; }
  explicit PartLocks(std::byte* memory) : words_(reinterpret_cast<std::uint32_t*>(memory)) {}
  // Waits for whoever has it, until `given_up` says true.  Returns whether this rank has it now.
  bool take(int part, const std::function<bool()>& given_up);
  void give(int part);

 private:
  std::uint32_t* words_;
};

}  // namespace ferry::offload
