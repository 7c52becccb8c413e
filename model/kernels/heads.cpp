#include "model/kernels/heads.h"

#include <cstring>
#include <stdexcept>
#include <string>

#include "model/kernels/cpu_rows.h"
#include "model/kernels/cuda/launch.h"
#include "model/kernels/element.h"

namespace ferry::model::kernels {

namespace {

void check(const Heads& a) {
  if (a.own != nullptr && a.places == nullptr) {
    throw std::invalid_argument("heads without places have no piece of their own");
  }
  if (a.head_bytes % 4 == 0) return;
  throw std::invalid_argument("heads of " + std::to_string(a.head_bytes) + " bytes: 4 must divide them");
}

// Calls move(offset in token order, first head, offset in packed order, bytes) for each run of heads.
template <typename Move>
void each_run(const Heads& a, const Move& move) {
  for_rows(a.tokens, a.heads * a.head_bytes / 4, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t t = begin; t < end; ++t) {
      for (std::int64_t h = 0; h < a.heads;) {
        const std::int64_t run = a.places == nullptr ? a.heads : a.places[h].width;
        const std::int64_t packed = packed_head(a.places, t, h, a.tokens, a.heads);
        move((t * a.heads + h) * a.head_bytes, h, packed * a.head_bytes,
             static_cast<std::size_t>(run * a.head_bytes));
        h += run;
      }
    }
  });
}

}  // namespace

void pack_heads(const Heads& args, Stream& stream) {
  check(args);
  if (stream.native() != nullptr) return cuda::pack_heads(args, stream.native());
  const auto* in = static_cast<const char*>(args.in);
  auto* out = static_cast<char*>(args.out);
  each_run(args, [&](std::int64_t tokens, std::int64_t, std::int64_t packed, std::size_t bytes) {
    std::memcpy(out + packed, in + tokens, bytes);
  });
}

void unpack_heads(const Heads& args, Stream& stream) {
  check(args);
  if (stream.native() != nullptr) return cuda::unpack_heads(args, stream.native());
  const auto* in = static_cast<const char*>(args.in);
  auto* out = static_cast<char*>(args.out);
  const auto* own = static_cast<const char*>(args.own);
  const std::int64_t own_begin = args.own_before * args.tokens * args.head_bytes;
  each_run(args, [&](std::int64_t tokens, std::int64_t head, std::int64_t packed, std::size_t bytes) {
    const bool is_own = own != nullptr && args.places[head].before == args.own_before;
    std::memcpy(out + tokens, is_own ? own + packed - own_begin : in + packed, bytes);
  });
}

}  // namespace ferry::model::kernels
