#include <cstdlib>
#include <string>

#include "tests/support/test_device.h"

namespace ferry::testing {

std::unique_ptr<Device> make_test_device(int index) {
  return index < cuda_device_count() ? make_cuda_device(index) : nullptr;
}

DeviceType test_device_type() { return DeviceType::Cuda; }

bool gpu_required() {
  const char* value = std::getenv("FERRY_REQUIRE_GPU");
  return value != nullptr && std::string(value) == "1";
}

}  // namespace ferry::testing
