// A block a token.  A thread reads and writes the same elements, and writes begin after the whole row has
// been summed, so that without places `out` may be `in`.
#include "model/kernels/cuda/launch.h"
#include "model/kernels/cuda/rows.cuh"
#include "model/kernels/dispatch.h"

namespace ferry::model::kernels::cuda {

namespace {

// kWidth elements, an even number, of one head.
template <typename T, int kWidth>
__device__ Lane<T, kWidth> finish(const Lane<T, kWidth>& in, const float* weights, float inverse,
                                  const float* cosines, const float* sines) {
  const auto weight = load<kWidth>(weights);
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
    const auto lane = finish<T, kWidth>(load<kWidth>(in + c), a.weight + c, inverse, cosines,
                                        rope == nullptr ? nullptr : cosines + head_dim / 2);
    T* out = static_cast<T*>(a.out) + packed_head(a.places, t, head, a.tokens, a.heads) * head_dim;
    store<kWidth>(out + element, lane);
  }
}

template <typename T>
void launch(const RmsNormRope& a, cudaStream_t stream) {
  constexpr int kWide = 16 / sizeof(T);
  const auto rows = static_cast<unsigned>(a.tokens);
  if (aligned(16, a.head_dim * sizeof(T), static_cast<const T*>(a.in), static_cast<T*>(a.out)) &&
      aligned(kWide * sizeof(float), a.head_dim * sizeof(float), a.weight, a.rope)) {
    rms_norm_rope_row<T, kWide><<<rows, kThreads, 0, stream>>>(a);
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
