// Settings of a stage's weights, for messages that say which one would fit a device.
#pragma once

#include <string>
#include <vector>

#include "offload/plan.h"

namespace ferry::offload {

struct Setting {
  DeviceUse use;
  std::string
      words;  // "--dit.offload.type async --dit.offload.offload_ratio 0.8 --dit.offload.prefetch_size 1"
};

// The types that the plan's network can have, the fastest first: none; async, from one ferried block to all,
// with the plan's own prefetch and then with 1; sequential, where the options that it has suit it.
std::vector<Setting> settings_of(const StagePlan& plan);

}  // namespace ferry::offload
