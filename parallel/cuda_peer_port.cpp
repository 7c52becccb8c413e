#include <cuda.h>
#include <cuda_runtime_api.h>

#include <cstring>

#include "base/cuda/check.h"
#include "parallel/peer_port.h"

namespace ferry::parallel {

namespace {

// A function of the driver, which the program is not linked with.
template <class Function>
Function* driver_function(const char* name) {
  void* found = nullptr;
  cudaDriverEntryPointQueryResult result = cudaDriverEntryPointSymbolNotFound;
  FERRY_CHECK(cudaGetDriverEntryPointByVersion(name, &found, 12000, cudaEnableDefault, &result));
  if (found == nullptr) throw CudaError(std::string("the driver has no ") + name);
  return reinterpret_cast<Function*>(found);
}

void check_driver(CUresult result, const char* call) {
  if (result == CUDA_SUCCESS) return;
  throw CudaError(std::string(call) + ": error " + std::to_string(static_cast<int>(result)) +
                  " of the CUDA driver");
}

CUstream native(Stream& stream) { return static_cast<CUstream>(stream.native()); }

CUdeviceptr on_device(Flag* flags) {
  void* address = nullptr;
  FERRY_CHECK(cudaHostGetDevicePointer(&address, flags, 0));
  return reinterpret_cast<CUdeviceptr>(address);
}

class CudaPeerPort final : public PeerPort {
 public:
  CudaPeerPort(Device& device, Flag* flags)
      : device_(device),
        flags_(flags),
        on_device_(on_device(flags)),
        write_(driver_function<decltype(cuStreamWriteValue32)>("cuStreamWriteValue32")),
        wait_(driver_function<decltype(cuStreamWaitValue32)>("cuStreamWaitValue32")) {}

  Shared share(std::size_t bytes) override {
    Shared shared;
    shared.memory = device_.allocate(bytes);
    cudaIpcMemHandle_t handle = {};
    FERRY_CHECK(cudaIpcGetMemHandle(&handle, shared.memory.data()));
    shared.handle.assign(handle.reserved, sizeof handle.reserved);
    return shared;
  }
  DeviceMemory open(const std::string& handle, std::size_t bytes) override {
    cudaIpcMemHandle_t theirs = {};
    if (handle.size() != sizeof theirs.reserved) throw CudaError("a handle of device memory was cut");
    std::memcpy(theirs.reserved, handle.data(), sizeof theirs.reserved);
    void* data = nullptr;
    FERRY_CHECK(cudaIpcOpenMemHandle(&data, theirs, cudaIpcMemLazyEnablePeerAccess));
    return {data, bytes, [](void* memory) { static_cast<void>(cudaIpcCloseMemHandle(memory)); }};
  }
  // By default the write comes after a fence for the whole system.
  void raise(Stream& stream, Flag& flag, std::uint32_t value) override {
    check_driver(write_(native(stream), address(flag), value, CU_STREAM_WRITE_VALUE_DEFAULT),
                 "cuStreamWriteValue32");
  }
  void await(Stream& stream, const Flag& flag, std::uint32_t value) override {
    check_driver(wait_(native(stream), address(flag), value, CU_STREAM_WAIT_VALUE_GEQ),
                 "cuStreamWaitValue32");
  }

 private:
  CUdeviceptr address(const Flag& flag) const {
    return on_device_ + static_cast<CUdeviceptr>(&flag - flags_) * sizeof(Flag);
  }
  Device& device_;
  const Flag* flags_;
  CUdeviceptr on_device_;
  decltype(cuStreamWriteValue32)* write_;
  decltype(cuStreamWaitValue32)* wait_;
};

}  // namespace

std::unique_ptr<PeerPort> make_cuda_peer_port(Device& device, Flag* flags) {
  return std::make_unique<CudaPeerPort>(device, flags);
}

}  // namespace ferry::parallel
