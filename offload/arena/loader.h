// Fills the node's copy: its ranks divide the tensors, read, convert and place them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "checkpoint/lora/lora_stack.h"
#include "model/weights.h"
#include "offload/arena/layout.h"
#include "parallel/peers.h"

namespace ferry::offload {

// Rows of one tensor, small enough to balance threads and ranks.
struct Piece {
  const model::TensorSpec* tensor = nullptr;
  std::size_t offset = 0;      // offset of the whole tensor in the arena
  std::int64_t row_begin = 0;  // of dimension 0
  std::int64_t row_end = 0;
  std::size_t bytes = 0;  // of these rows
};

// All pieces of a network in arena order, none above `most_bytes` unless it is a single row.  Points into
// `stored`.
std::vector<Piece> pieces_of(const model::NetworkSpec& stored, const ArenaLayout& layout,
                             std::size_t most_bytes);

// The consecutive portion of one rank: portions differ by at most one piece.
std::vector<Piece> portion_of(const std::vector<Piece>& pieces, int rank, int ranks);

// Reorders the pieces so that `threads` taking them in turn work far apart: the kernel allocates nearby pages
// for one thread at a time.
std::vector<Piece> spread(const std::vector<Piece>& pieces, int threads);

// Writes rows of a tensor, as its spec says, at the place of the whole tensor.  Called by several threads.
using TensorSource = std::function<void(const model::TensorSpec& spec, std::byte* tensor,
                                        std::int64_t row_begin, std::int64_t row_end)>;

// LoRAs that are merged into the weights as they are read.
struct Merge {
  std::shared_ptr<const checkpoint::LoraStack> loras{};  // nullptr: none
  checkpoint::LoraTerms terms = checkpoint::LoraTerms::All;

  // What is added to the tensor with this official key.
  std::vector<checkpoint::LoraAddition> additions_to(const std::string& key) const;
  // The same additions, of the same files.
  friend bool operator==(const Merge& a, const Merge& b);
};

// Reads a checkpoint and applies `merge`.  Pages of the files that have been read are dropped from this
// process's memory, so that the host never holds much more than one copy; with `drop_cache` also from the
// page cache, for nodes without room for both.  The checkpoint must outlive the source.
TensorSource checkpoint_source(const checkpoint::Checkpoint& checkpoint, bool drop_cache,
                               const Merge& merge = {});

struct LoadProgress {
  std::size_t bytes_done = 0;   // by this rank
  std::size_t bytes_total = 0;  // this rank's portion
};

struct LoadPlan {
  const model::NetworkSpec* stored = nullptr;
  const ArenaLayout* layout = nullptr;
  std::byte* arena = nullptr;
  int ranks = 1;  // ranks that divide the work; 1 for private memory
  int rank = 0;
  int threads = 1;  // of this rank
  // optional; only tensors for which it is true are read.
  std::function<bool(const model::TensorSpec&)> only{};
};

// Fills this rank's portion.  `progress` (optional) is called regularly on the calling thread.
// Throws what the source throws, once all threads have stopped.
void load_portion(const LoadPlan& plan, const TensorSource& source,
                  const std::function<void(const LoadProgress&)>& progress);

}  // namespace ferry::offload
