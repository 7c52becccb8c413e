// One warp per pixel: its lanes sum the squares, then write the values.  The second read of a pixel (a few KB
// at most) hits the L1 cache.
#include <cuda_runtime.h>

#include <algorithm>
#include <stdexcept>

#include "base/cuda/check.h"
#include "model/kernels/element.h"
#include "model/kernels/vae_norm.h"

namespace ferry::model::kernels::cuda {

namespace {

constexpr int kWarp = 32;
constexpr int kWarpsPerBlock = 8;
constexpr std::int64_t kMostBlocks = 1 << 16;

// kWidth adjacent values, accessed at once.
template <typename T, int kWidth>
struct alignas(sizeof(T) * kWidth) Lane {
  T values[kWidth];
};

template <int kWidth, typename X, typename Y>
__device__ void normalise_pixel(const X* x, Y* y, const VaeNorm& a) {
  const int lane = threadIdx.x % kWarp;
  float sum = 0;
  for (std::int64_t c = lane * kWidth; c < a.channels; c += kWarp * kWidth) {
    const auto in = *reinterpret_cast<const Lane<X, kWidth>*>(x + c);
    for (int i = 0; i < kWidth; ++i) sum += to_float(in.values[i]) * to_float(in.values[i]);
  }
  for (int offset = kWarp / 2; offset > 0; offset /= 2) sum += __shfl_xor_sync(0xffffffffU, sum, offset);
  const float scale = vae_norm_scale(sqrtf(sum), sqrtf(static_cast<float>(a.channels)));
  for (std::int64_t c = lane * kWidth; c < a.channels; c += kWarp * kWidth) {
    const auto in = *reinterpret_cast<const Lane<X, kWidth>*>(x + c);
    Lane<Y, kWidth> out;
    for (int i = 0; i < kWidth; ++i) {
      const float value = to_float(in.values[i]) * scale * a.gamma[c + i];
      out.values[i] = from_float<Y>(a.silu ? vae_silu(value) : value);
    }
    *reinterpret_cast<Lane<Y, kWidth>*>(y + c) = out;
  }
}

template <int kWidth, typename X, typename Y>
__global__ void normalise(const VaeNorm a) {
  const std::int64_t first = static_cast<std::int64_t>(blockIdx.x) * kWarpsPerBlock + threadIdx.x / kWarp;
  const std::int64_t step = static_cast<std::int64_t>(gridDim.x) * kWarpsPerBlock;
  for (std::int64_t pixel = first; pixel < a.pixels; pixel += step) {
    normalise_pixel<kWidth>(static_cast<const X*>(a.x) + pixel * a.channels,
                            static_cast<Y*>(a.y) + pixel * a.channels, a);
  }
}

template <int kWidth>
bool aligned(const VaeNorm& a) {
  const auto bits = reinterpret_cast<std::uintptr_t>(a.x) | reinterpret_cast<std::uintptr_t>(a.y);
  return a.channels % kWidth == 0 && bits % (kWidth * sizeof(float)) == 0;
}

template <typename X, typename Y>
void launch(const VaeNorm& a, cudaStream_t stream) {
  const std::int64_t wanted = (a.pixels + kWarpsPerBlock - 1) / kWarpsPerBlock;
  const auto blocks = static_cast<unsigned>(std::min(wanted, kMostBlocks));
  constexpr unsigned kThreads = kWarp * kWarpsPerBlock;
  if (aligned<4>(a)) {
    normalise<4, X, Y><<<blocks, kThreads, 0, stream>>>(a);
  } else {
    normalise<1, X, Y><<<blocks, kThreads, 0, stream>>>(a);
  }
  FERRY_CHECK(cudaGetLastError());
}

}  // namespace

void vae_norm(const VaeNorm& args, void* stream) {
  if (args.pixels == 0) return;
  auto* queue = static_cast<cudaStream_t>(stream);
  const bool from_bf16 = args.x_type == DType::BF16;
  const bool to_bf16 = args.y_type == DType::BF16;
  if (!from_bf16 && args.x_type != DType::F32) throw std::invalid_argument("vae_norm: x is not fp32 or bf16");
  if (!to_bf16 && args.y_type != DType::F32) throw std::invalid_argument("vae_norm: y is not fp32 or bf16");
  if (from_bf16 && to_bf16) return launch<Bf16, Bf16>(args, queue);
  if (from_bf16) return launch<Bf16, float>(args, queue);
  if (to_bf16) return launch<float, Bf16>(args, queue);
  launch<float, float>(args, queue);
}

}  // namespace ferry::model::kernels::cuda
