// Counts the calls of the CUDA runtime that a forward must not make, whoever makes them: this program defines
// the functions itself and passes them on, so LibTorch's calls come here as well as base/'s.
#pragma once

namespace ferry::testing {

struct CudaCalls {
  int allocations = 0;  // cudaMalloc, cudaMallocAsync, cudaHostAlloc and what frees
  int made = 0;         // events and streams
  int host_waits = 0;   // for an event, a stream or the device; cudaMemcpy; copies of pageable memory
  int pinned = 0;       // cudaHostRegister
  int total() const { return allocations + made + host_waits + pinned; }
};

// Those of all threads since the program began.
CudaCalls cuda_calls();

CudaCalls operator-(const CudaCalls& a, const CudaCalls& b);

}  // namespace ferry::testing
