// Each thread keeps the same columns of many rows: weights and head places are computed once, a row is read
// once, and the next is prefetched while this one is summed.  Rows too long for that take one block each and
// are read twice.  A thread reads and writes the same elements, and writes start after the whole row has been
// read, so that without places `out` may be `in`.
#include <algorithm>

#include "model/kernels/cuda/launch.h"
#include "model/kernels/cuda/rows.cuh"
#include "model/kernels/dispatch.h"

namespace ferry::model::kernels::cuda {

namespace {

// Finishes kWidth elements (even) of one head.
template <typename T, int kWidth>
__device__ Lane<T, kWidth> finish(const Lane<T, kWidth>& in, const Lane<float, kWidth>& weight, float inverse,
                                  const float* cosines, const float* sines) {
  Lane<float, kWidth / 2> cos = {};
  Lane<float, kWidth / 2> sin = {};
  if (cosines != nullptr) {
    cos = load<kWidth / 2>(cosines);
    sin = load<kWidth / 2>(sines);
  }
  Lane<T, kWidth> out;
  for (int i = 0; i < kWidth; i += 2) {
    Pair pair = {rounded<T>(to_float(in.values[i]) * inverse) * weight.values[i],
                 rounded<T>(to_float(in.values[i + 1]) * inverse) * weight.values[i + 1]};
    if (cosines != nullptr) pair = rotate(pair, cos.values[i / 2], sin.values[i / 2]);
    out.values[i] = from_float<T>(pair.a);
    out.values[i + 1] = from_float<T>(pair.b);
  }
  return out;
}

template <typename T, int kWidth>
__global__ void rms_norm_rope_row(const RmsNormRope a) {
  const std::int64_t t = blockIdx.x;
  const int dim = static_cast<int>(a.heads * a.head_dim);
  const int head_dim = static_cast<int>(a.head_dim);
  const T* in = static_cast<const T*>(a.in) + t * dim;
  float squares = 0;
  for (int c = threadIdx.x * kWidth; c < dim; c += kThreads * kWidth) {
    const auto lane = load<kWidth>(in + c);
    for (int i = 0; i < kWidth; ++i) squares += to_float(lane.values[i]) * to_float(lane.values[i]);
  }
  const float inverse = rsqrtf(block_sum(squares) / static_cast<float>(dim) + a.eps);

  const float* rope = a.rope != nullptr && t < a.rotated ? a.rope + t * head_dim : nullptr;
  for (int c = threadIdx.x * kWidth; c < dim; c += kThreads * kWidth) {
    const int head = c / head_dim;
    const int element = c % head_dim;
    const float* cosines = rope == nullptr ? nullptr : rope + element / 2;
    const auto lane = finish<T, kWidth>(load<kWidth>(in + c), load<kWidth>(a.weight + c), inverse, cosines,
                                        rope == nullptr ? nullptr : cosines + head_dim / 2);
    T* out = static_cast<T*>(a.out) + packed_head(a.places, t, head, a.tokens, a.heads) * head_dim;
    store<kWidth>(out + element, lane);
  }
}

constexpr int kMostThreads = 512;
constexpr int kBlocks = 6;  // concurrent blocks per multiprocessor, so that some load while others sum

// Each thread holds kLanes vectors of kWidth elements; the block covers the row.
template <typename T, int kWidth, int kLanes>
__global__ void __launch_bounds__(kMostThreads, 2) rms_norm_rope_rows(const RmsNormRope a) {
  const int dim = static_cast<int>(a.heads * a.head_dim);
  const int head_dim = static_cast<int>(a.head_dim);
  const T* in = static_cast<const T*>(a.in);
  T* out = static_cast<T*>(a.out);
  Lane<float, kWidth> weight[kLanes];
  Lane<T, kWidth> row[kLanes];
  std::int64_t place[kLanes];  // offset in `out` of token 0
  std::int64_t step[kLanes];   // stride between tokens
  for (int i = 0; i < kLanes; ++i) {
    const int c = (static_cast<int>(threadIdx.x) + i * static_cast<int>(blockDim.x)) * kWidth;
    if (c >= dim) continue;
    weight[i] = load<kWidth>(a.weight + c);
    row[i] = load<kWidth>(in + static_cast<std::int64_t>(blockIdx.x) * dim + c);
    const std::int64_t first = packed_head(a.places, 0, c / head_dim, a.tokens, a.heads);
    place[i] = first * head_dim + c % head_dim;
    step[i] = (packed_head(a.places, 1, c / head_dim, a.tokens, a.heads) - first) * head_dim;
  }
  for (std::int64_t t = blockIdx.x; t < a.tokens; t += gridDim.x) {
    Lane<T, kWidth> next[kLanes];
    float squares = 0;
    for (int i = 0; i < kLanes; ++i) {
      const int c = (static_cast<int>(threadIdx.x) + i * static_cast<int>(blockDim.x)) * kWidth;
      if (c >= dim) continue;
      if (t + gridDim.x < a.tokens) next[i] = load<kWidth>(in + (t + gridDim.x) * dim + c);
      for (int k = 0; k < kWidth; ++k) squares += to_float(row[i].values[k]) * to_float(row[i].values[k]);
    }
    const float inverse = rsqrtf(block_sum(squares) / static_cast<float>(dim) + a.eps);
    const float* rope = a.rope != nullptr && t < a.rotated ? a.rope + t * head_dim : nullptr;
    for (int i = 0; i < kLanes; ++i) {
      const int c = (static_cast<int>(threadIdx.x) + i * static_cast<int>(blockDim.x)) * kWidth;
      if (c >= dim) continue;
      const float* cosines = rope == nullptr ? nullptr : rope + c % head_dim / 2;
      store<kWidth>(out + place[i] + t * step[i],
                    finish<T, kWidth>(row[i], weight[i], inverse, cosines,
                                      rope == nullptr ? nullptr : cosines + head_dim / 2));
      row[i] = next[i];
    }
  }
}

template <typename T, int kWidth, int kLanes>
void launch_rows(const RmsNormRope& a, int lanes, cudaStream_t stream) {
  const int threads = ((lanes + kLanes - 1) / kLanes + kWarp - 1) / kWarp * kWarp;
  const auto grid = static_cast<unsigned>(std::min<std::int64_t>(a.tokens, multiprocessors() * kBlocks));
  rms_norm_rope_rows<T, kWidth, kLanes><<<grid, static_cast<unsigned>(threads), 0, stream>>>(a);
}

template <typename T>
void launch(const RmsNormRope& a, cudaStream_t stream) {
  constexpr int kWide = 16 / sizeof(T);
  const auto rows = static_cast<unsigned>(a.tokens);
  const std::int64_t dim = a.heads * a.head_dim;
  if (aligned(16, a.head_dim * sizeof(T), static_cast<const T*>(a.in), static_cast<T*>(a.out)) &&
      aligned(kWide * sizeof(float), a.head_dim * sizeof(float), a.weight, a.rope)) {
    const std::int64_t lanes = dim / kWide;
    if (lanes <= kMostThreads) {
      launch_rows<T, kWide, 1>(a, static_cast<int>(lanes), stream);
    } else if (lanes <= 2 * kMostThreads) {
      launch_rows<T, kWide, 2>(a, static_cast<int>(lanes), stream);
    } else {
      rms_norm_rope_row<T, kWide><<<rows, kThreads, 0, stream>>>(a);
    }
  } else {
    rms_norm_rope_row<T, 2><<<rows, kThreads, 0, stream>>>(a);
  }
  check_launch("rms_norm_rope");
}

}  // namespace

void rms_norm_rope(const RmsNormRope& args, void* stream) {
  if (args.tokens == 0) return;
  with_type(args.dtype, [&]<typename T>(T) { launch<T>(args, as_stream(stream)); });
}

}  // namespace ferry::model::kernels::cuda
