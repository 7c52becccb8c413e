// The few facts about CUDA that the record of a run needs.  cuda/gpu.cpp asks CUDA, no_cuda/gpu.cpp does not.
#pragma once

#include <cstddef>
#include <string>

#include "base/device.h"

namespace ferry::worker {

// "13.0", of the runtime that is loaded; "none" in a build without CUDA.
std::string cuda_version();

// "2.28.9", of the library that is loaded; "none" in a build without CUDA.
std::string nccl_version();

// "580.95.05", from the kernel's module; "none" without one.
std::string driver_version();

// The most device memory that LibTorch took since reset_torch_peak().
struct TorchPeak {
  std::size_t held_bytes = 0;       // with what its allocator keeps for later
  std::size_t allocated_bytes = 0;  // tensors and workspaces alone: what the work cannot do without
};
// Zeros on the CPU.
TorchPeak torch_peak(const Device& device);
void reset_torch_peak(const Device& device);

// Gives the memory that LibTorch keeps for later back to the device; nothing on the CPU.
void release_torch_cache(const Device& device);

}  // namespace ferry::worker
