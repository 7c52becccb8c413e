// Elementwise kernels, one or a few elements per thread: patches, GELU, the time sinusoid, the check for
// non-finite values.
#include <algorithm>

#include "model/kernels/cuda/launch.h"
#include "model/kernels/cuda/rows.cuh"
#include "model/kernels/dispatch.h"

namespace ferry::model::kernels::cuda {

namespace {

constexpr std::int64_t kMostBlocks = 1 << 16;

unsigned blocks_for(std::int64_t items) {
  return static_cast<unsigned>(std::min((items + kThreads - 1) / kThreads, kMostBlocks));
}

__device__ std::int64_t first_item() {
  return static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
}
__device__ std::int64_t step() { return static_cast<std::int64_t>(gridDim.x) * kThreads; }

template <typename T>
__global__ void cut(const Patchify a) {
  const std::int64_t width = a.channels * 4;
  for (std::int64_t item = first_item(); item < a.count * width; item += step()) {
    const std::int64_t i = item % width;
    const std::int64_t pixel = pixel_of(a.grid, a.first + item / width, i / 4, i / 2 % 2, i % 2);
    static_cast<T*>(a.out)[item] = from_float<T>(a.latent[pixel]);
  }
}

__global__ void join(const Unpatchify a) {
  const std::int64_t width = a.channels * 4;
  for (std::int64_t item = first_item(); item < a.grid.tokens() * width; item += step()) {
    const std::int64_t i = item % width;
    const std::int64_t corner = i / a.channels;
    a.latent[pixel_of(a.grid, item / width, i % a.channels, corner / 2, corner % 2)] = a.tokens[item];
  }
}

template <typename T, int kWidth>
__global__ void gelu(T* data, std::int64_t count) {
  for (std::int64_t item = first_item() * kWidth; item < count; item += step() * kWidth) {
    auto lane = load<kWidth>(data + item);
    for (int i = 0; i < kWidth; ++i) {
      const float x = to_float(lane.values[i]);
      const float exponent = gelu_exponent(x);
      lane.values[i] = from_float<T>(gelu_from(x, exponent, __expf(-fabsf(exponent))));
    }
    store<kWidth>(data + item, lane);
  }
}

// All threads that find one write the same value.
template <typename T, int kWidth>
__global__ void find_not_finite(const T* data, std::int64_t count, std::uint32_t* flag) {
  bool bad = false;
  for (std::int64_t item = first_item() * kWidth; item < count; item += step() * kWidth) {
    const auto lane = load<kWidth>(data + item);
    for (int i = 0; i < kWidth; ++i) bad = bad || !is_finite(lane.values[i]);
  }
  if (bad) *flag = 1;
}

__global__ void sinusoid(double t, float* out, int half) {
  for (int j = threadIdx.x; j < half; j += kThreads) {
    const double angle = t * pow(10000.0, -static_cast<double>(j) / static_cast<double>(half));
    out[j] = static_cast<float>(cos(angle));
    out[half + j] = static_cast<float>(sin(angle));
  }
}

}  // namespace

void patchify(const Patchify& args, void* stream) {
  if (args.count == 0) return;
  with_type(args.out_type, [&]<typename T>(T) {
    cut<T><<<blocks_for(args.count * args.channels * 4), kThreads, 0, as_stream(stream)>>>(args);
  });
  check_launch("patchify");
}

void unpatchify(const Unpatchify& args, void* stream) {
  if (args.grid.tokens() == 0) return;
  const unsigned blocks = blocks_for(args.grid.tokens() * args.channels * 4);
  join<<<blocks, kThreads, 0, as_stream(stream)>>>(args);
  check_launch("unpatchify");
}

void time_sinusoid(double t, float* out, std::int64_t dim, void* stream) {
  sinusoid<<<1, kThreads, 0, as_stream(stream)>>>(t, out, static_cast<int>(dim / 2));
  check_launch("time_sinusoid");
}

void gelu_tanh(void* data, DType dtype, std::int64_t count, void* stream) {
  if (count == 0) return;
  with_type(dtype, [&]<typename T>(T) {
    constexpr int kWide = 16 / sizeof(T);
    auto* values = static_cast<T*>(data);
    if (aligned(16, count * sizeof(T), values)) {
      gelu<T, kWide><<<blocks_for(count / kWide), kThreads, 0, as_stream(stream)>>>(values, count);
    } else {
      gelu<T, 1><<<blocks_for(count), kThreads, 0, as_stream(stream)>>>(values, count);
    }
  });
  check_launch("gelu_tanh");
}

void flag_not_finite(const void* data, DType dtype, std::int64_t count, std::uint32_t* flag, void* stream) {
  if (count == 0) return;
  with_type(dtype, [&]<typename T>(T) {
    constexpr int kWide = 16 / sizeof(T);
    const auto* values = static_cast<const T*>(data);
    if (aligned(16, count * sizeof(T), values)) {
      find_not_finite<T, kWide>
          <<<blocks_for(count / kWide), kThreads, 0, as_stream(stream)>>>(values, count, flag);
    } else {
      find_not_finite<T, 1><<<blocks_for(count), kThreads, 0, as_stream(stream)>>>(values, count, flag);
    }
  });
  check_launch("flag_not_finite");
}

}  // namespace ferry::model::kernels::cuda
