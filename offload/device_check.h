// Checks before loading that a device has room for a stage.
#pragma once

#include <cstddef>
#include <string>

#include "offload/plan.h"

namespace ferry::offload {

// Device memory available to a stage.
struct DeviceRoom {
  std::size_t free_bytes = 0;
  std::size_t total_bytes = 0;
  std::string where;              // "cuda:0", "host memory beside the node's copy of the weights"
  bool weights_in_place = false;  // type none uses the node's copy in place
};

// Throws UserError unless the plan's need and the activations fit: names the numbers, and which type would
// fit, if any.
void check_device_memory(const StagePlan& plan, std::size_t activation_bytes, const DeviceRoom& room);

}  // namespace ferry::offload
