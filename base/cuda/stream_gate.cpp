#include "base/stream_gate.h"

#include <cuda_runtime_api.h>

#include <cstddef>
#include <new>

#include "base/cuda/check.h"
#include "base/cuda/stream_memory.h"
#include "base/gate_timeout.h"

namespace ferry {

namespace {

static_assert(sizeof(GateState) == sizeof(std::uint32_t) && GateState::is_always_lock_free);

// The gate's state in mapped host memory, where a thread can open the gate without calling the driver.
class MappedState {
 public:
  MappedState() {
    void* memory = nullptr;
    FERRY_CHECK(cudaHostAlloc(&memory, sizeof(GateState), cudaHostAllocMapped | cudaHostAllocPortable));
    state_ = new (memory) GateState(kGateOpen);
    void* address = nullptr;
    const cudaError_t mapped = cudaHostGetDevicePointer(&address, memory, 0);
    if (mapped != cudaSuccess) {
      static_cast<void>(cudaFreeHost(memory));
      FERRY_CHECK(mapped);
    }
    address_ = reinterpret_cast<CUdeviceptr>(address);
  }
  MappedState(const MappedState&) = delete;
  MappedState& operator=(const MappedState&) = delete;
  ~MappedState() { static_cast<void>(cudaFreeHost(state_)); }
  GateState& state() { return *state_; }
  CUdeviceptr address() const { return address_; }

 private:
  GateState* state_ = nullptr;
  CUdeviceptr address_ = 0;
};

class CudaStreamGate final : public StreamGate {
 public:
  void close(Stream& stream) override {
    if (++closed_ == kGateOpen) ++closed_;
    operations_.write(stream, mapped_.address(), closed_);
  }
  void open(Stream& stream) override { operations_.write(stream, mapped_.address(), kGateOpen); }
  void pass(Stream& stream) override { operations_.wait_equal(stream, mapped_.address(), kGateOpen); }

 private:
  StreamMemory operations_;
  MappedState mapped_;
  std::uint32_t closed_ = 0;
  GateTimeout timeout_{mapped_.state()};
};

}  // namespace

std::unique_ptr<StreamGate> make_cuda_stream_gate(Device&) { return std::make_unique<CudaStreamGate>(); }

}  // namespace ferry
