// A block a row; the row is read three times (mean, deviation, result), twice from the first-level cache.
#include "model/kernels/cuda/launch.h"
#include "model/kernels/cuda/rows.cuh"
#include "model/kernels/dispatch.h"

namespace ferry::model::kernels::cuda {

namespace {

template <typename Norm, typename Out, Scaling kScaling, int kWidth>
__global__ void layer_norm_row(const LayerNorm a) {
  const float* x = a.x + static_cast<std::int64_t>(blockIdx.x) * a.dim;
  Out* out = static_cast<Out*>(a.out) + static_cast<std::int64_t>(blockIdx.x) * a.dim;
  const auto count = static_cast<float>(a.dim);
  const std::int64_t first = threadIdx.x * kWidth;
  constexpr std::int64_t kStep = kThreads * kWidth;

  float sum = 0;
  for (std::int64_t c = first; c < a.dim; c += kStep) {
    const auto in = load<kWidth>(x + c);
    for (int i = 0; i < kWidth; ++i) sum += in.values[i];
  }
  const float mean = block_sum(sum) / count;

  float squares = 0;
  for (std::int64_t c = first; c < a.dim; c += kStep) {
    const auto in = load<kWidth>(x + c);
    for (int i = 0; i < kWidth; ++i) squares += (in.values[i] - mean) * (in.values[i] - mean);
  }
  const float inverse = rsqrtf(block_sum(squares) / count + a.eps);

  for (std::int64_t c = first; c < a.dim; c += kStep) {
    const auto in = load<kWidth>(x + c);
    const auto scale = load<kWidth>(a.scale + c);
    const auto shift = load<kWidth>(a.shift + c);
    Lane<Out, kWidth> result;
    for (int i = 0; i < kWidth; ++i) {
      result.values[i] = from_float<Out>(
          normalised<Norm, kScaling>(in.values[i], mean, inverse, scale.values[i], shift.values[i]));
    }
    store<kWidth>(out + c, result);
  }
}

template <typename Norm, typename Out, Scaling kScaling>
void launch(const LayerNorm& a, cudaStream_t stream) {
  const auto rows = static_cast<unsigned>(a.rows);
  if (aligned(16, a.dim * 4, a.x, a.scale, a.shift) &&
      aligned(4 * sizeof(Out), a.dim * sizeof(Out), static_cast<Out*>(a.out))) {
    layer_norm_row<Norm, Out, kScaling, 4><<<rows, kThreads, 0, stream>>>(a);
  } else {
    layer_norm_row<Norm, Out, kScaling, 1><<<rows, kThreads, 0, stream>>>(a);
  }
  check_launch("layer_norm");
}

}  // namespace

void layer_norm(const LayerNorm& args, Scaling scaling, void* stream) {
  if (args.rows == 0) return;
  with_type(args.out_type, [&]<typename Out>(Out) {
    if (scaling == Scaling::Affine) return launch<float, Out, Scaling::Affine>(args, as_stream(stream));
    with_type(args.norm_type,
              [&]<typename Norm>(Norm) { launch<Norm, Out, Scaling::Modulate>(args, as_stream(stream)); });
  });
}

}  // namespace ferry::model::kernels::cuda
