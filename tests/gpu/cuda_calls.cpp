#include "tests/gpu/cuda_calls.h"

#include <cuda_runtime_api.h>
#include <dlfcn.h>

#include <atomic>

namespace {

std::atomic<int> allocations;
std::atomic<int> made;
std::atomic<int> host_waits;
std::atomic<int> pinned;

// The runtime's own function of that name.
template <typename Function>
Function* runtime(Function* /*same_type*/, const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}

// Pageable memory goes through a buffer of the driver's, which the host waits for.
bool is_pageable(const void* data) {
  cudaPointerAttributes attributes = {};
  if (cudaPointerGetAttributes(&attributes, data) == cudaSuccess)
    return attributes.type == cudaMemoryTypeUnregistered;
  static_cast<void>(cudaGetLastError());
  return true;
}

}  // namespace

extern "C" {

cudaError_t cudaMalloc(void** data, std::size_t bytes) {
  static auto* const real = runtime<cudaError_t(void**, std::size_t)>(&cudaMalloc, "cudaMalloc");
  ++allocations;
  return real(data, bytes);
}

cudaError_t cudaFree(void* data) {
  static auto* const real = runtime(&cudaFree, "cudaFree");
  ++allocations;
  return real(data);
}

cudaError_t cudaMallocAsync(void** data, std::size_t bytes, cudaStream_t stream) {
  static auto* const real =
      runtime<cudaError_t(void**, std::size_t, cudaStream_t)>(&cudaMallocAsync, "cudaMallocAsync");
  ++allocations;
  return real(data, bytes, stream);
}

cudaError_t cudaHostAlloc(void** data, std::size_t bytes, unsigned flags) {
  static auto* const real =
      runtime<cudaError_t(void**, std::size_t, unsigned)>(&cudaHostAlloc, "cudaHostAlloc");
  ++allocations;
  return real(data, bytes, flags);
}

cudaError_t cudaFreeAsync(void* data, cudaStream_t stream) {
  static auto* const real = runtime(&cudaFreeAsync, "cudaFreeAsync");
  ++allocations;
  return real(data, stream);
}

cudaError_t cudaFreeHost(void* data) {
  static auto* const real = runtime(&cudaFreeHost, "cudaFreeHost");
  ++allocations;
  return real(data);
}

cudaError_t cudaEventCreate(cudaEvent_t* event) {
  static auto* const real = runtime<cudaError_t(cudaEvent_t*)>(&cudaEventCreate, "cudaEventCreate");
  ++made;
  return real(event);
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags) {
  static auto* const real =
      runtime<cudaError_t(cudaEvent_t*, unsigned)>(&cudaEventCreateWithFlags, "cudaEventCreateWithFlags");
  ++made;
  return real(event, flags);
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags) {
  static auto* const real = runtime(&cudaStreamCreateWithFlags, "cudaStreamCreateWithFlags");
  ++made;
  return real(stream, flags);
}

cudaError_t cudaStreamCreateWithPriority(cudaStream_t* stream, unsigned flags, int priority) {
  static auto* const real = runtime(&cudaStreamCreateWithPriority, "cudaStreamCreateWithPriority");
  ++made;
  return real(stream, flags, priority);
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  static auto* const real = runtime(&cudaEventSynchronize, "cudaEventSynchronize");
  ++host_waits;
  return real(event);
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  static auto* const real = runtime(&cudaStreamSynchronize, "cudaStreamSynchronize");
  ++host_waits;
  return real(stream);
}

cudaError_t cudaDeviceSynchronize() {
  static auto* const real = runtime(&cudaDeviceSynchronize, "cudaDeviceSynchronize");
  ++host_waits;
  return real();
}

cudaError_t cudaMemcpy(void* dst, const void* src, std::size_t bytes, cudaMemcpyKind kind) {
  static auto* const real = runtime(&cudaMemcpy, "cudaMemcpy");
  ++host_waits;
  return real(dst, src, bytes, kind);
}

cudaError_t cudaMemcpyAsync(void* dst, const void* src, std::size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream) {
  static auto* const real = runtime(&cudaMemcpyAsync, "cudaMemcpyAsync");
  if (is_pageable(dst) || is_pageable(src)) ++host_waits;
  return real(dst, src, bytes, kind, stream);
}

cudaError_t cudaHostRegister(void* data, std::size_t bytes, unsigned flags) {
  static auto* const real = runtime(&cudaHostRegister, "cudaHostRegister");
  ++pinned;
  return real(data, bytes, flags);
}

}  // extern "C"

namespace ferry::testing {

CudaCalls cuda_calls() {
  return {.allocations = allocations, .made = made, .host_waits = host_waits, .pinned = pinned};
}

CudaCalls operator-(const CudaCalls& a, const CudaCalls& b) {
  return {.allocations = a.allocations - b.allocations,
          .made = a.made - b.made,
          .host_waits = a.host_waits - b.host_waits,
          .pinned = a.pinned - b.pinned};
}

}  // namespace ferry::testing
