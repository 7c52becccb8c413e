// Offsets of a network's tensors in the node's host copy.
//
//   arena    | head | block 0 | block 1 | ... | tail | host |
//   blob     | module | module | ... | once | padding |   starts at a page, a multiple of P * 256 bytes
//   module   | tensor | gap | tensor | gap |              tensors start at multiples of 256 bytes
//
// A blob is what one copy moves, P the number of ranks that share its copies.  Modules used only by the first
// pass (ModuleSpec::once) come last in their block, so that later passes copy the front of the blob, in P
// even shares.  Modules that never leave the host are together in the last blob.  Offsets depend only on the
// network and P, so ranks need not exchange them.
#pragma once

#include <cstddef>
#include <vector>

#include "base/dtype.h"
#include "model/weights.h"

namespace ferry::offload {

inline constexpr std::size_t kTensorAlign = 256;
inline constexpr std::size_t kBlobAlign = 4096;

struct TensorPlace {
  std::size_t offset = 0;  // in its blob
  DType dtype = DType::F32;
  model::MemoryFormat format;
};

struct ModulePlace {
  std::size_t offset = 0;  // in its blob
  std::size_t bytes = 0;   // to the end of its last tensor, a multiple of 256
  bool host_only = false;  // in the host blob
  std::vector<TensorPlace> tensors;
};

struct Blob {
  std::size_t offset = 0;  // in the arena
  std::size_t bytes = 0;
};

struct BlockPlace {
  Blob blob;
  std::vector<ModulePlace> modules;  // as in the spec; host-only ones are in the host blob
  std::size_t front = 0;  // bytes that P even shares of later passes take: up to the modules that only the
                          // first pass uses, rounded up to P * 256
};

struct ArenaLayout {
  BlockPlace head;
  std::vector<BlockPlace> blocks;
  BlockPlace tail;
  Blob host;
  std::size_t bytes = 0;

  std::size_t largest_block() const;  // bytes of the largest of `blocks`, 0 without blocks
  std::size_t block_bytes() const;    // of all `blocks` together
};

// `stored` has the dtypes as kept in the arena; `ranks` is P >= 1.
ArenaLayout arena_layout(const model::NetworkSpec& stored, int ranks);

// Places a module's tensors consecutively from `end`, and advances `end`.
ModulePlace place_module(const model::ModuleSpec& module, std::size_t& end);

const BlockPlace& block_of(const ArenaLayout& layout, int block);  // index, ModuleId::kHead or kTail
const ModulePlace& place_of(const ArenaLayout& layout, model::ModuleId id);
// The blob that contains a module.
const Blob& blob_of(const ArenaLayout& layout, model::ModuleId id);

// All modules of a network, in arena order: head, blocks, tail.
std::vector<model::ModuleId> all_modules(const model::NetworkSpec& spec);

// Blobs are page-locked separately, and CUDA refuses a copy that crosses from one into the next: a single
// copy must stay within one blob.
const Blob& largest_blob(const ArenaLayout& layout);

// Offsets at which files that hold the arena may begin: at blobs, or anywhere in the host blob, which is
// never page-locked; at least `least_bytes` apart, and no more than kMostBorders.
inline constexpr std::size_t kMostBorders = 63;
std::vector<std::size_t> borders_of(const ArenaLayout& layout, std::size_t least_bytes);

inline std::size_t round_up(std::size_t bytes, std::size_t multiple) {
  return (bytes + multiple - 1) / multiple * multiple;
}

}  // namespace ferry::offload
