#include <cstdlib>
#include <string>

#include "tests/support/test_device.h"

namespace ferry::testing {

std::unique_ptr<Device> make_test_device() {
  return cuda_device_count() == 0 ? nullptr : make_cuda_device(0);
}

bool gpu_required() {
  const char* value = std::getenv("FERRY_REQUIRE_GPU");
  return value != nullptr && std::string(value) == "1";
}

}  // namespace ferry::testing
