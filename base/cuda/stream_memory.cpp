#include "base/cuda/stream_memory.h"

#include <cuda_runtime_api.h>

#include <string>

#include "base/cuda/check.h"

namespace ferry {

namespace {

template <class Function>
Function* driver_function(const char* name) {
  void* found = nullptr;
  cudaDriverEntryPointQueryResult result = cudaDriverEntryPointSymbolNotFound;
  FERRY_CHECK(cudaGetDriverEntryPointByVersion(name, &found, 12000, cudaEnableDefault, &result));
  if (found == nullptr) throw CudaError(std::string("the driver has no ") + name);
  return reinterpret_cast<Function*>(found);
}

void check(CUresult result, const char* call) {
  if (result == CUDA_SUCCESS) return;
  throw CudaError(std::string(call) + ": error " + std::to_string(static_cast<int>(result)) +
                  " of the CUDA driver");
}

CUstream native(Stream& stream) { return static_cast<CUstream>(stream.native()); }

}  // namespace

StreamMemory::StreamMemory()
    : write_(driver_function<decltype(cuStreamWriteValue32)>("cuStreamWriteValue32")),
      wait_(driver_function<decltype(cuStreamWaitValue32)>("cuStreamWaitValue32")) {}

// The fence is the default.
void StreamMemory::write(Stream& stream, CUdeviceptr address, std::uint32_t value) const {
  check(write_(native(stream), address, value, CU_STREAM_WRITE_VALUE_DEFAULT), "cuStreamWriteValue32");
}

void StreamMemory::wait(Stream& stream, CUdeviceptr address, std::uint32_t value, unsigned how) const {
  check(wait_(native(stream), address, value, how), "cuStreamWaitValue32");
}

void StreamMemory::wait_reached(Stream& stream, CUdeviceptr address, std::uint32_t value) const {
  wait(stream, address, value, CU_STREAM_WAIT_VALUE_GEQ);
}

void StreamMemory::wait_equal(Stream& stream, CUdeviceptr address, std::uint32_t value) const {
  wait(stream, address, value, CU_STREAM_WAIT_VALUE_EQ);
}

}  // namespace ferry
