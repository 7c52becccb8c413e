// Counts the calls of the CUDA runtime that a forward must not make, whoever of this program makes them:
// the linker leads base/'s and offload/'s calls here first (tests/gpu/offload.cmake).  LibTorch's own are in
// its shared libraries and are not counted.
#pragma once

namespace ferry::testing {

struct CudaCalls {
  int allocations = 0;  // cudaMalloc, cudaFree
  int made = 0;         // events and streams
  int host_waits = 0;   // cudaEventSynchronize, cudaStreamSynchronize, cudaDeviceSynchronize
  int pinned = 0;       // cudaHostRegister
  int total() const { return allocations + made + host_waits + pinned; }
};

// Those of all threads since the program began.
CudaCalls cuda_calls();

CudaCalls operator-(const CudaCalls& a, const CudaCalls& b);

}  // namespace ferry::testing
