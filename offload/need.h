// The device memory that a strategy takes for weights, known before anything is loaded.
#pragma once

#include <cstddef>
#include <string>

#include "offload/arena/arena_plan.h"
#include "offload/limit.h"
#include "offload/options.h"

namespace ferry::offload {

// The least that options.type works with, in the bytes that vram_limit counts; `auto`: that of sequential,
// which takes least.  Throws UserError for options that do not suit the network.
Need least_need(const ArenaPlan& plan, const Options& options);

// The device memory that a stage may take.
struct Room {
  std::size_t free_bytes = 0;
  std::size_t total_bytes = 0;
  std::string where;              // "cuda:0", "host memory beside the node's copy of the weights"
  bool weights_in_place = false;  // type none uses the node's copy itself
};

// Throws UserError unless least_need() and the activations fit: says the numbers, and which type would fit
// or that none does.
void check_device_memory(const ArenaPlan& plan, const Options& options, std::size_t activation_bytes,
                         const Room& room);

}  // namespace ferry::offload
