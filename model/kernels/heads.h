// Moves heads between token order and the destination-major order of the Ulysses exchange
// (parallel/ulysses.h draws both).
#pragma once

#include <cstdint>

#include "base/device.h"
#include "model/kernels/element.h"

namespace ferry::model::kernels {

struct Heads {
  const void* in = nullptr;
  void* out = nullptr;
  // unpack_heads: where the piece [s, its heads] lies that begins with head own_before, in place of its part
  // of `in`; nullptr: in `in`.
  const void* own = nullptr;
  std::int64_t own_before = 0;
  const HeadPlace* places = nullptr;  // [heads], where the memory is; nullptr: both orders are the same
  std::int64_t tokens = 0;            // s, of this rank
  std::int64_t heads = 0;             // all
  std::int64_t head_bytes = 0;        // one head of one token; a multiple of 4
};

// in [s, heads], out destination-major.  Queued on `stream`, whose device holds the memory.
// Throws std::invalid_argument when 4 does not divide head_bytes.
void pack_heads(const Heads& args, Stream& stream);

// The inverse: in destination-major, out [s, heads].  Throws std::invalid_argument also for `own` without
// places.
void unpack_heads(const Heads& args, Stream& stream);

}  // namespace ferry::model::kernels
