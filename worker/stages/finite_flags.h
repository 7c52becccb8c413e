// Checks for non-finite values on the device without stalling it: each check queues one kernel and the copy
// of one word.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "base/device.h"

namespace ferry::worker {

class FiniteFlags {
 public:
  // Capacity for `looks` checks; allocates its memory now, and blocks for it.
  FiniteFlags(Device& device, std::size_t looks);
  FiniteFlags(const FiniteFlags&) = delete;
  FiniteFlags& operator=(const FiniteFlags&) = delete;
  // Blocks until all queued work is done.
  ~FiniteFlags();

  // Queues check number `index` of `values`, of any float type, on device.compute(); call under a
  // model::TorchStream.  Throws std::out_of_range.
  void look(std::size_t index, const at::Tensor& values);
  // True if that check found only finite values, or was never made.  Call once device.compute() has passed
  // it.
  bool finite(std::size_t index) const { return host_.at(index) == 0; }

 private:
  Device& device_;
  DeviceMemory flags_;
  std::vector<std::uint32_t> host_;
  bool pinned_ = false;
};

// A single check; blocks until the result is available.
bool all_finite(Device& device, const at::Tensor& values);

}  // namespace ferry::worker
