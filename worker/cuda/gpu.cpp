#include "worker/gpu.h"

#include <ATen/Context.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <cuda_runtime_api.h>
#include <fmt/format.h>
#include <nccl.h>

namespace ferry::worker {

namespace {

// LibTorch must be initialised on a device before its allocator knows it.
c10::DeviceIndex started(const Device& device) {
  at::globalContext().lazyInitDevice(at::kCUDA);
  return static_cast<c10::DeviceIndex>(device.index());
}

}  // namespace

std::string cuda_version() {
  int version = 0;
  if (cudaRuntimeGetVersion(&version) != cudaSuccess) return "none";
  return fmt::format("{}.{}", version / 1000, version % 1000 / 10);
}

std::string nccl_version() {
  int version = 0;
  if (ncclGetVersion(&version) != ncclSuccess) return "none";
  return fmt::format("{}.{}.{}", version / 10000, version % 10000 / 100, version % 100);
}

TorchPeak torch_peak(const Device& device) {
  if (device.type() != DeviceType::Cuda) return {};
  const auto stats = c10::cuda::CUDACachingAllocator::getDeviceStats(started(device));
  return {.held_bytes = static_cast<std::size_t>(stats.reserved_bytes[0].peak),
          .allocated_bytes = static_cast<std::size_t>(stats.allocated_bytes[0].peak)};
}

std::size_t torch_held(const Device& device) {
  if (device.type() != DeviceType::Cuda) return 0;
  const auto stats = c10::cuda::CUDACachingAllocator::getDeviceStats(started(device));
  return static_cast<std::size_t>(stats.reserved_bytes[0].current);
}

void reset_torch_peak(const Device& device) {
  if (device.type() != DeviceType::Cuda) return;
  c10::cuda::CUDACachingAllocator::resetPeakStats(started(device));
}

void release_torch_cache(const Device& device) {
  if (device.type() == DeviceType::Cuda) c10::cuda::CUDACachingAllocator::emptyCache();
}

}  // namespace ferry::worker
