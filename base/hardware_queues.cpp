#include "base/hardware_queues.h"

#include <cstdlib>

namespace ferry {

std::string provide_hardware_queues() {
  constexpr const char* kVariable = "CUDA_DEVICE_MAX_CONNECTIONS";
  const char* given = std::getenv(kVariable);
  if (given != nullptr && std::atoi(given) >= kHardwareQueues) return {};
  std::string before = given == nullptr ? "" : given;
  ::setenv(kVariable, std::to_string(kHardwareQueues).c_str(), 1);
  return before;
}

}  // namespace ferry
