// Shared by the row kernels: one block per row, adjacent threads on adjacent vectors of a row.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>
#include <string>

#include "base/error.h"
#include "model/kernels/element.h"

namespace ferry::model::kernels::cuda {

constexpr int kThreads = 256;
constexpr int kWarp = 32;
constexpr int kMostWarps = 32;  // per block

// kWidth values accessed at once.
template <typename T, int kWidth>
struct alignas(sizeof(T) * kWidth) Lane {
  T values[kWidth];
};

template <int kWidth, typename T>
__device__ Lane<T, kWidth> load(const T* at) {
  return *reinterpret_cast<const Lane<T, kWidth>*>(at);
}

template <int kWidth, typename T>
__device__ void store(T* at, const Lane<T, kWidth>& lane) {
  *reinterpret_cast<Lane<T, kWidth>*>(at) = lane;
}

// x += y * gate at column c; x += y if gate is nullptr.
template <int kWidth, typename Y>
__device__ void add_gated(Lane<float, kWidth>& x, const Lane<Y, kWidth>& y, const float* gate,
                          std::int64_t c) {
  if (gate == nullptr) {
    for (int i = 0; i < kWidth; ++i) x.values[i] += to_float(y.values[i]);
    return;
  }
  const auto factor = load<kWidth>(gate + c);
  for (int i = 0; i < kWidth; ++i) x.values[i] += to_float(y.values[i]) * factor.values[i];
}

// Returns the sum over the block on every thread.  All threads must call it; the block is a whole number of
// warps.
inline __device__ float block_sum(float value) {
  __shared__ float parts[kMostWarps];
  for (int offset = kWarp / 2; offset > 0; offset /= 2) value += __shfl_xor_sync(0xffffffffU, value, offset);
  __syncthreads();  // the previous sum has been read
  if (threadIdx.x % kWarp == 0) parts[threadIdx.x / kWarp] = value;
  __syncthreads();
  float sum = 0;
  for (int i = 0; i < static_cast<int>(blockDim.x) / kWarp; ++i) sum += parts[i];
  return sum;
}

// True if every pointer and `row_bytes` allow vectors of `bytes`.
template <typename... Pointers>
bool aligned(std::int64_t bytes, std::int64_t row_bytes, const Pointers*... pointers) {
  const std::uintptr_t bits = (reinterpret_cast<std::uintptr_t>(pointers) | ...);
  return row_bytes % bytes == 0 && bits % static_cast<std::uintptr_t>(bytes) == 0;
}

inline void check_launch(const char* kernel) {
  const cudaError_t error = cudaGetLastError();
  if (error != cudaSuccess) throw CudaError(std::string(kernel) + ": " + cudaGetErrorString(error));
}

inline cudaStream_t as_stream(void* stream) { return static_cast<cudaStream_t>(stream); }

}  // namespace ferry::model::kernels::cuda
