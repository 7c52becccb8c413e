#include "base/stream_gate.h"

#include <cuda_runtime_api.h>

#include "base/cuda/check.h"
#include "base/cuda/stream_memory.h"

namespace ferry {

namespace {

constexpr std::uint32_t kOpen = 0;
constexpr std::uint32_t kClosed = 1;

// A number in device memory: whoever waits polls it, and the host's would be polled over the link.
class CudaStreamGate final : public StreamGate {
 public:
  explicit CudaStreamGate(Device& device) : memory_(device.allocate(sizeof(std::uint32_t))) {
    FERRY_CHECK(cudaMemset(memory_.data(), 0, memory_.bytes()));
    FERRY_CHECK(cudaDeviceSynchronize());
  }
  void close(Stream& stream) override { operations_.write(stream, number(), kClosed); }
  void open(Stream& stream) override { operations_.write(stream, number(), kOpen); }
  void pass(Stream& stream) override { operations_.wait_equal(stream, number(), kOpen); }

 private:
  CUdeviceptr number() const { return reinterpret_cast<CUdeviceptr>(memory_.data()); }
  StreamMemory operations_;
  DeviceMemory memory_;
};

}  // namespace

std::unique_ptr<StreamGate> make_cuda_stream_gate(Device& device) {
  return std::make_unique<CudaStreamGate>(device);
}

}  // namespace ferry
