// One block per row, which is read three times: for the mean, the deviation and the result.  Without an
// addition the second and third reads hit the L1 cache; with one they come from shared memory, where each
// thread reads back its own values.
#include "model/kernels/cuda/launch.h"
#include "model/kernels/cuda/rows.cuh"
#include "model/kernels/dispatch.h"

namespace ferry::model::kernels::cuda {

namespace {

constexpr std::int64_t kStagedBytes = 47
                                      << 10;  // the default limit is 48 KiB per block; block_sum() uses some

template <int kWidth>
__device__ std::int64_t first_column() {
  return threadIdx.x * kWidth;
}
template <int kWidth>
constexpr std::int64_t kStep = kThreads* kWidth;

// Normalises the row whose values are in `row` and sum to `sum` over the block.
template <typename Norm, typename Out, Scaling kScaling, int kWidth>
__device__ void normalise(const LayerNorm& a, const float* row, float sum) {
  const auto count = static_cast<float>(a.dim);
  const float mean = block_sum(sum) / count;
  float squares = 0;
  for (std::int64_t c = first_column<kWidth>(); c < a.dim; c += kStep<kWidth>) {
    const auto in = load<kWidth>(row + c);
    for (int i = 0; i < kWidth; ++i) squares += (in.values[i] - mean) * (in.values[i] - mean);
  }
  const float inverse = rsqrtf(block_sum(squares) / count + a.eps);

  Out* out = static_cast<Out*>(a.out) + static_cast<std::int64_t>(blockIdx.x) * a.dim;
  for (std::int64_t c = first_column<kWidth>(); c < a.dim; c += kStep<kWidth>) {
    const auto in = load<kWidth>(row + c);
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

template <typename Norm, typename Out, Scaling kScaling, int kWidth>
__global__ void layer_norm_row(const LayerNorm a) {
  const float* x = a.x + static_cast<std::int64_t>(blockIdx.x) * a.dim;
  float sum = 0;
  for (std::int64_t c = first_column<kWidth>(); c < a.dim; c += kStep<kWidth>) {
    const auto in = load<kWidth>(x + c);
    for (int i = 0; i < kWidth; ++i) sum += in.values[i];
  }
  normalise<Norm, Out, kScaling, kWidth>(a, x, sum);
}

template <typename Y, typename Out, Scaling kScaling, int kWidth>
__global__ void add_layer_norm_row(const LayerNorm a) {
  extern __shared__ float4 staged[];  // [dim] floats
  auto* row = reinterpret_cast<float*>(staged);
  float* x = a.x + static_cast<std::int64_t>(blockIdx.x) * a.dim;
  const Y* y = static_cast<const Y*>(a.y) + static_cast<std::int64_t>(blockIdx.x) * a.dim;
  float sum = 0;
  for (std::int64_t c = first_column<kWidth>(); c < a.dim; c += kStep<kWidth>) {
    auto in = load<kWidth>(x + c);
    add_gated<kWidth>(in, load<kWidth>(y + c), a.gate, c);
    store<kWidth>(x + c, in);
    store<kWidth>(row + c, in);
    for (int i = 0; i < kWidth; ++i) sum += in.values[i];
  }
  normalise<float, Out, kScaling, kWidth>(a, row, sum);
}

template <typename Out>
bool vectors_fit(const LayerNorm& a) {
  const std::int64_t y_width = a.y_type == DType::F32 ? 4 : 2;
  return aligned(16, a.dim * 4, a.x, a.scale, a.shift, a.gate) &&
         aligned(4 * sizeof(Out), a.dim * sizeof(Out), static_cast<Out*>(a.out)) &&
         aligned(4 * y_width, a.dim * y_width, static_cast<const char*>(a.y));
}

template <typename Norm, typename Out, Scaling kScaling>
void launch(const LayerNorm& a, cudaStream_t stream) {
  const auto rows = static_cast<unsigned>(a.rows);
  if (vectors_fit<Out>(a)) {
    layer_norm_row<Norm, Out, kScaling, 4><<<rows, kThreads, 0, stream>>>(a);
  } else {
    layer_norm_row<Norm, Out, kScaling, 1><<<rows, kThreads, 0, stream>>>(a);
  }
  check_launch("layer_norm");
}

template <typename Y, typename Out, Scaling kScaling>
void launch_add(const LayerNorm& a, cudaStream_t stream) {
  const auto rows = static_cast<unsigned>(a.rows);
  const auto bytes = static_cast<std::size_t>(a.dim) * sizeof(float);
  if (vectors_fit<Out>(a)) {
    add_layer_norm_row<Y, Out, kScaling, 4><<<rows, kThreads, bytes, stream>>>(a);
  } else {
    add_layer_norm_row<Y, Out, kScaling, 1><<<rows, kThreads, bytes, stream>>>(a);
  }
  check_launch("add_layer_norm");
}

template <Scaling kScaling>
void add_layer_norm(const LayerNorm& a, void* stream) {
  with_type(a.y_type, [&]<typename Y>(Y) {
    with_type(a.out_type, [&]<typename Out>(Out) { launch_add<Y, Out, kScaling>(a, as_stream(stream)); });
  });
}

}  // namespace

void layer_norm(const LayerNorm& args, Scaling scaling, void* stream) {
  if (args.rows == 0) return;
  LayerNorm a = args;
  if (a.y != nullptr) {
    const bool staged = a.dim * static_cast<std::int64_t>(sizeof(float)) <= kStagedBytes;
    if (staged && a.norm_type == DType::F32) {
      return scaling == Scaling::Affine ? add_layer_norm<Scaling::Affine>(a, stream)
                                        : add_layer_norm<Scaling::Modulate>(a, stream);
    }
    gate_residual(
        {.x = a.x, .y = a.y, .y_type = a.y_type, .gate = a.gate, .out = a.x, .rows = a.rows, .dim = a.dim},
        stream);
    a.y = nullptr;
  }
  with_type(a.out_type, [&]<typename Out>(Out) {
    if (scaling == Scaling::Affine) return launch<float, Out, Scaling::Affine>(a, as_stream(stream));
    with_type(a.norm_type,
              [&]<typename Norm>(Norm) { launch<Norm, Out, Scaling::Modulate>(a, as_stream(stream)); });
  });
}

}  // namespace ferry::model::kernels::cuda
