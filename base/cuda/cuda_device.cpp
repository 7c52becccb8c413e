#include <cuda_runtime_api.h>
#include <fmt/format.h>

#include <array>

#include "base/cuda/check.h"
#include "base/cuda/event.h"
#include "base/cuda/stream.h"
#include "base/device.h"
#include "base/host/numa.h"
#include "base/text/lower.h"

namespace ferry {

namespace {

// Makes the GPU current on this thread and returns its properties.
cudaDeviceProp take(int index) {
  const int count = cuda_device_count();
  if (count == 0)
    throw UserError("no GPU is visible: check the driver and CUDA_VISIBLE_DEVICES, or use --device cpu");
  if (index < 0 || index >= count)
    throw UserError(fmt::format("GPU {}: this process sees GPUs 0 to {}", index, count - 1));
  FERRY_CHECK(cudaSetDevice(index));
  // Waiting host threads sleep instead of spinning: the core may be needed by another rank.
  FERRY_CHECK(cudaSetDeviceFlags(cudaDeviceScheduleBlockingSync));
  cudaDeviceProp properties = {};
  FERRY_CHECK(cudaGetDeviceProperties(&properties, index));
  return properties;
}

class CudaDevice final : public Device {
 public:
  explicit CudaDevice(int index)
      : index_(index), name_(take(index).name), compute_("compute", Priority::Normal) {}
  DeviceType type() const override { return DeviceType::Cuda; }
  int index() const override { return index_; }
  const std::string& name() const override { return name_; }
  Stream& compute() override { return compute_; }
  std::unique_ptr<Stream> make_stream(const std::string& name, Priority priority) override {
    return std::make_unique<CudaStream>(name, priority);
  }
  std::unique_ptr<Event> make_event(EventKind kind) override { return std::make_unique<CudaEvent>(kind); }
  DeviceMemory allocate(std::size_t bytes) override;
  void pin(void* data, std::size_t bytes) override;
  void unpin(void* data) noexcept override;
  MemoryUse memory() const override;

 private:
  int index_;
  std::string name_;
  CudaStream compute_;
};

DeviceMemory CudaDevice::allocate(std::size_t bytes) {
  if (bytes == 0) return {};
  void* data = nullptr;
  const cudaError_t result = cudaMalloc(&data, bytes);
  if (result == cudaErrorMemoryAllocation) {
    static_cast<void>(cudaGetLastError());
    throw OutOfMemory(
        fmt::format("cannot allocate {} bytes on {}: {} bytes are free", bytes, name_, memory().free_bytes));
  }
  FERRY_CHECK(result);
  return {data, bytes, [](void* memory) { static_cast<void>(cudaFree(memory)); }};
}

// Portable, because the pages are shared with other ranks and every context of this process may copy from
// them. cudaSetDevice, because a thread new to CUDA would otherwise create a context on GPU 0.
void CudaDevice::pin(void* data, std::size_t bytes) {
  if (bytes == 0) return;
  FERRY_CHECK(cudaSetDevice(index_));
  FERRY_CHECK(cudaHostRegister(data, bytes, cudaHostRegisterPortable));
}

void CudaDevice::unpin(void* data) noexcept {
  static_cast<void>(cudaSetDevice(index_));
  if (cudaHostUnregister(data) != cudaSuccess) static_cast<void>(cudaGetLastError());
}

MemoryUse CudaDevice::memory() const {
  MemoryUse use;
  FERRY_CHECK(cudaMemGetInfo(&use.free_bytes, &use.total_bytes));
  return use;
}

}  // namespace

int cuda_device_count() {
  int count = 0;
  if (cudaGetDeviceCount(&count) == cudaSuccess) return count;
  // No driver, or a broken one, means "no GPU"; clear the error so that the next call does not report it.
  static_cast<void>(cudaGetLastError());
  return 0;
}

std::string cuda_device_uuid(int index) {
  const int count = cuda_device_count();
  if (index < 0 || index >= count)
    throw UserError(fmt::format("GPU {}: this process sees {} GPUs", index, count));
  cudaDeviceProp properties = {};
  FERRY_CHECK(cudaGetDeviceProperties(&properties, index));
  std::string digits;
  for (const char byte : properties.uuid.bytes)
    digits += fmt::format("{:02x}", static_cast<unsigned char>(byte));
  return digits;
}

// sysfs spells PCI addresses with lower-case digits, CUDA with upper-case ones.
std::string cuda_pci_address(int index) {
  std::array<char, 32> text{};
  if (cudaDeviceGetPCIBusId(text.data(), static_cast<int>(text.size()), index) != cudaSuccess) {
    static_cast<void>(cudaGetLastError());
    return {};
  }
  return lower(text.data());
}

std::unique_ptr<Device> make_cuda_device(int index) { return std::make_unique<CudaDevice>(index); }

}  // namespace ferry
