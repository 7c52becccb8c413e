// Moves heads between token order and the destination-major order of the Ulysses exchange (both defined in
// parallel/ulysses.h).
#pragma once

#include <cstdint>

#include "base/device.h"
#include "model/kernels/element.h"

namespace ferry::model::kernels {

struct Heads {
  const void* in = nullptr;
  void* out = nullptr;
  // unpack_heads; optional. The piece [s, its heads] that starts with head own_before, read instead of its
  // part of `in`.
  const void* own = nullptr;
  std::int64_t own_before = 0;
  const HeadPlace* places = nullptr;  // [heads], in the same memory; nullptr: both orders are the same
  std::int64_t tokens = 0;            // s, of this rank
  std::int64_t heads = 0;             // all
  std::int64_t head_bytes = 0;        // one head of one token; a multiple of 4
};

// in [s, heads], out destination-major.  Queued on `stream`, whose device holds the memory.
// Throws std::invalid_argument unless head_bytes is a multiple of 4.
void pack_heads(const Heads& args, Stream& stream);

// The inverse: in destination-major, out [s, heads].  Also throws std::invalid_argument for `own` without
// places.
void unpack_heads(const Heads& args, Stream& stream);

}  // namespace ferry::model::kernels
