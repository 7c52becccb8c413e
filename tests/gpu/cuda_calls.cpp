#include "tests/gpu/cuda_calls.h"

#include <cuda_runtime_api.h>

#include <atomic>

namespace {

std::atomic<int> allocations;
std::atomic<int> made;
std::atomic<int> host_waits;
std::atomic<int> pinned;

}  // namespace

// `ld --wrap=f` resolves f to __wrap_f, and __real_f to f.
extern "C" {

cudaError_t __real_cudaMalloc(void** data, std::size_t bytes);
cudaError_t __real_cudaFree(void* data);
cudaError_t __real_cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags);
cudaError_t __real_cudaStreamCreateWithPriority(cudaStream_t* stream, unsigned flags, int priority);
cudaError_t __real_cudaEventSynchronize(cudaEvent_t event);
cudaError_t __real_cudaStreamSynchronize(cudaStream_t stream);
cudaError_t __real_cudaDeviceSynchronize();
cudaError_t __real_cudaHostRegister(void* data, std::size_t bytes, unsigned flags);

cudaError_t __wrap_cudaMalloc(void** data, std::size_t bytes) {
  ++allocations;
  return __real_cudaMalloc(data, bytes);
}

cudaError_t __wrap_cudaFree(void* data) {
  ++allocations;
  return __real_cudaFree(data);
}

cudaError_t __wrap_cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags) {
  ++made;
  return __real_cudaEventCreateWithFlags(event, flags);
}

cudaError_t __wrap_cudaStreamCreateWithPriority(cudaStream_t* stream, unsigned flags, int priority) {
  ++made;
  return __real_cudaStreamCreateWithPriority(stream, flags, priority);
}

cudaError_t __wrap_cudaEventSynchronize(cudaEvent_t event) {
  ++host_waits;
  return __real_cudaEventSynchronize(event);
}

cudaError_t __wrap_cudaStreamSynchronize(cudaStream_t stream) {
  ++host_waits;
  return __real_cudaStreamSynchronize(stream);
}

cudaError_t __wrap_cudaDeviceSynchronize() {
  ++host_waits;
  return __real_cudaDeviceSynchronize();
}

cudaError_t __wrap_cudaHostRegister(void* data, std::size_t bytes, unsigned flags) {
  ++pinned;
  return __real_cudaHostRegister(data, bytes, flags);
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
