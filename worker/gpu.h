// CUDA facts for the record of a run, in cuda/gpu.cpp or, without CUDA, no_cuda/gpu.cpp.
#pragma once

#include <cstddef>
#include <string>

#include "base/device.h"

namespace ferry::worker {

// "13.0", of the loaded runtime; "none" in a build without CUDA.
std::string cuda_version();

// "2.28.9", of the loaded library; "none" in a build without CUDA.
std::string nccl_version();

// "580.95.05", of the kernel module; "none" without one.
std::string driver_version();

// LibTorch's peak device memory since reset_torch_peak().
struct TorchPeak {
  std::size_t held_bytes = 0;       // including memory cached by its allocator
  std::size_t allocated_bytes = 0;  // tensors and workspaces only: what the work really needs
};
// Zeros on the CPU.
TorchPeak torch_peak(const Device& device);
// Device memory that LibTorch holds now, with its cache; 0 on the CPU.
std::size_t torch_held(const Device& device);
void reset_torch_peak(const Device& device);

// Returns LibTorch's cached memory to the device; a no-op on the CPU.
void release_torch_cache(const Device& device);

}  // namespace ferry::worker
