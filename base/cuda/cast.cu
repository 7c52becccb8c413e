#include <algorithm>
#include <cstdint>
#include <stdexcept>
#include <string>

#include "base/cuda/cast.h"
#include "base/element.h"

namespace ferry {

namespace {

constexpr int kThreads = 256;
constexpr std::size_t kMaxBlocks = 4096;
constexpr int kPack = 8;  // elements per access of a thread: 16 bytes of a 2-byte type

template <class T>
struct alignas(std::min<std::size_t>(16, kPack * sizeof(T))) Pack {
  T value[kPack];
};

template <DType dst_type, DType src_type>
__global__ void cast_packs(Pack<Stored<dst_type>>* dst, const Pack<Stored<src_type>>* src,
                           std::size_t packs) {
  const std::size_t step = static_cast<std::size_t>(gridDim.x) * blockDim.x;
  for (std::size_t p = static_cast<std::size_t>(blockIdx.x) * blockDim.x + threadIdx.x; p < packs;
       p += step) {
    const Pack<Stored<src_type>> in = src[p];
    Pack<Stored<dst_type>> out;
#pragma unroll
    for (int i = 0; i < kPack; ++i) out.value[i] = convert_element<dst_type, src_type>(in.value[i]);
    dst[p] = out;
  }
}

template <DType dst_type, DType src_type>
__global__ void cast_each(Stored<dst_type>* dst, const Stored<src_type>* src, std::size_t count) {
  const std::size_t step = static_cast<std::size_t>(gridDim.x) * blockDim.x;
  for (std::size_t i = static_cast<std::size_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < count;
       i += step) {
    dst[i] = convert_element<dst_type, src_type>(src[i]);
  }
}

unsigned blocks_for(std::size_t items) {
  return static_cast<unsigned>(std::min(kMaxBlocks, (items + kThreads - 1) / kThreads));
}

template <class T>
bool pack_aligned(const void* data) {
  return reinterpret_cast<std::uintptr_t>(data) % alignof(Pack<T>) == 0;
}

template <DType dst_type, DType src_type>
cudaError_t launch(void* dst, const void* src, std::size_t count, cudaStream_t stream) {
  using D = Stored<dst_type>;
  using S = Stored<src_type>;
  const std::size_t packs = pack_aligned<D>(dst) && pack_aligned<S>(src) ? count / kPack : 0;
  const std::size_t rest = count - packs * kPack;
  if (packs > 0) {
    cast_packs<dst_type, src_type><<<blocks_for(packs), kThreads, 0, stream>>>(
        static_cast<Pack<D>*>(dst), static_cast<const Pack<S>*>(src), packs);
  }
  if (rest > 0) {
    cast_each<dst_type, src_type><<<blocks_for(rest), kThreads, 0, stream>>>(
        static_cast<D*>(dst) + packs * kPack, static_cast<const S*>(src) + packs * kPack, rest);
  }
  return cudaGetLastError();
}

}  // namespace

cudaError_t cast_on_device(void* dst, DType dst_type, const void* src, DType src_type, std::size_t count,
                           cudaStream_t stream) {
  if (dst_type == src_type) {
    return cudaMemcpyAsync(dst, src, count * size_of(dst_type), cudaMemcpyDefault, stream);
  }
  cudaError_t result = cudaSuccess;
  bool known = false;
  with_float_type(dst_type, [&](auto d) {
    known = with_float_type(src_type, [&](auto s) {
      result = launch<decltype(d)::value, decltype(s)::value>(dst, src, count, stream);
    });
  });
  if (!known) {
    throw std::invalid_argument("no conversion from " + std::string(name_of(src_type)) + " to " +
                                std::string(name_of(dst_type)));
  }
  return result;
}

}  // namespace ferry
