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

StreamMemory::Operation wait_of(CUdeviceptr address, std::uint32_t value, unsigned how) {
  StreamMemory::Operation operation = {};
  operation.waitValue.operation = CU_STREAM_MEM_OP_WAIT_VALUE_32;
  operation.waitValue.address = address;
  operation.waitValue.value = value;
  operation.waitValue.flags = how;
  return operation;
}

CUstream native(Stream& stream) { return static_cast<CUstream>(stream.native()); }

}  // namespace

StreamMemory::StreamMemory() : batch_(driver_function<decltype(cuStreamBatchMemOp)>("cuStreamBatchMemOp")) {}

// The default flags include the fence.
StreamMemory::Operation StreamMemory::write_of(CUdeviceptr address, std::uint32_t value) {
  Operation operation = {};
  operation.writeValue.operation = CU_STREAM_MEM_OP_WRITE_VALUE_32;
  operation.writeValue.address = address;
  operation.writeValue.value = value;
  operation.writeValue.flags = CU_STREAM_WRITE_VALUE_DEFAULT;
  return operation;
}

StreamMemory::Operation StreamMemory::wait_reached_of(CUdeviceptr address, std::uint32_t value) {
  return wait_of(address, value, CU_STREAM_WAIT_VALUE_GEQ);
}

StreamMemory::Operation StreamMemory::wait_equal_of(CUdeviceptr address, std::uint32_t value) {
  return wait_of(address, value, CU_STREAM_WAIT_VALUE_EQ);
}

void StreamMemory::queue(Stream& stream, std::span<Operation> operations) const {
  if (operations.empty()) return;
  check(batch_(native(stream), static_cast<unsigned>(operations.size()), operations.data(), 0),
        "cuStreamBatchMemOp");
}

}  // namespace ferry
