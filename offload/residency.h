// Assignment of blocks: ferried, or resident on the device.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "offload/arena/layout.h"
#include "offload/options.h"

namespace ferry::offload {

struct Residency {
  std::vector<int> offloaded;  // block indices, ascending
  std::vector<int> resident;
  int slots = 0;  // min(prefetch + 1, offloaded)
};

// `offloaded` of `layers` blocks, spread evenly over the depth to balance the link's load.
Residency spread_residency(int layers, int offloaded, int prefetch);

// Residency for round(ratio * layers) offloaded blocks.
// Throws UserError: a ratio outside [0, 1], a prefetch below 1 or above `layers`; `stage` names the network.
Residency plan_residency(const std::string& stage, int layers, const Options& options);

// Device bytes of async with this residency: head, tail, residents and slots.
std::size_t device_bytes(const ArenaLayout& layout, const Residency& residency);

// The size of one slot: the stage's largest offloaded block.
std::size_t slot_bytes(const ArenaLayout& layout, const Residency& residency);

// The residency as one line, for ranks to compare their plans.
std::string to_text(const Residency& residency);

}  // namespace ferry::offload
