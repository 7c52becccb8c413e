// Says before loading whether a device has room for what a stage takes of it.
#pragma once

#include <cstddef>
#include <string>

#include "offload/plan.h"

namespace ferry::offload {

// The device memory that a stage may take.
struct Room {
  std::size_t free_bytes = 0;
  std::size_t total_bytes = 0;
  std::string where;              // "cuda:0", "host memory beside the node's copy of the weights"
  bool weights_in_place = false;  // type none uses the node's copy itself
};

// Throws UserError unless the plan's need and the activations fit: says the numbers, and which type would fit
// or that none does.
void check_device_memory(const StagePlan& plan, std::size_t activation_bytes, const Room& room);

}  // namespace ferry::offload
