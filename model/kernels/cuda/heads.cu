#include "model/kernels/cuda/launch.h"
#include "model/kernels/cuda/rows.cuh"

namespace ferry::model::kernels::cuda {

namespace {

struct Wide {
  uint4 words;
};

// One block per token; a thread moves one Word at a time.
template <typename Word, bool kPack>
__global__ void move_heads(const Heads a) {
  const std::int64_t t = blockIdx.x;
  const int words = static_cast<int>(a.head_bytes / sizeof(Word));
  const int all = static_cast<int>(a.heads) * words;
  const auto* in = static_cast<const Word*>(a.in);
  auto* out = static_cast<Word*>(a.out);
  const auto* own = static_cast<const Word*>(a.own);
  const std::int64_t own_begin = a.own_before * a.tokens * words;
  for (int i = threadIdx.x; i < all; i += kThreads) {
    const std::int64_t natural = t * all + i;
    const int head = i / words;
    const std::int64_t packed = packed_head(a.places, t, head, a.tokens, a.heads) * words + i % words;
    if constexpr (kPack) {
      out[packed] = in[natural];
    } else if (own != nullptr && a.places[head].before == a.own_before) {
      out[natural] = own[packed - own_begin];
    } else {
      out[natural] = in[packed];
    }
  }
}

template <bool kPack>
void launch(const Heads& a, cudaStream_t stream) {
  if (a.tokens == 0) return;
  const auto rows = static_cast<unsigned>(a.tokens);
  const bool wide = aligned(16, a.head_bytes, static_cast<const char*>(a.in), static_cast<const char*>(a.own),
                            static_cast<const char*>(a.out));
  if (wide) {
    move_heads<Wide, kPack><<<rows, kThreads, 0, stream>>>(a);
  } else {
    move_heads<std::uint32_t, kPack><<<rows, kThreads, 0, stream>>>(a);
  }
  check_launch(kPack ? "pack_heads" : "unpack_heads");
}

}  // namespace

void pack_heads(const Heads& args, void* stream) { launch<true>(args, as_stream(stream)); }

void unpack_heads(const Heads& args, void* stream) { launch<false>(args, as_stream(stream)); }

}  // namespace ferry::model::kernels::cuda
