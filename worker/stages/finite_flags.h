// Looks for values that are not finite, on the device and without holding it up: each look queues one kernel
// and the copy of one word.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "base/device.h"

namespace ferry::worker {

class FiniteFlags {
 public:
  // Room for `looks`; takes its memory now, and blocks for it.
  FiniteFlags(Device& device, std::size_t looks);
  FiniteFlags(const FiniteFlags&) = delete;
  FiniteFlags& operator=(const FiniteFlags&) = delete;
  // Blocks until what was queued is done.
  ~FiniteFlags();

  // Queues on device.compute() look number `index` at `values` of any float type, on the device; called under
  // a model::TorchStream.  Throws std::out_of_range.
  void look(std::size_t index, const at::Tensor& values);
  // Whether that look found finite values only; true also where nobody has looked.  Not before
  // device.compute() has passed the look.
  bool finite(std::size_t index) const { return host_.at(index) == 0; }

 private:
  Device& device_;
  DeviceMemory flags_;
  std::vector<std::uint32_t> host_;
  bool pinned_ = false;
};

// One look at once; blocks until its answer is there.
bool all_finite(Device& device, const at::Tensor& values);

}  // namespace ferry::worker
