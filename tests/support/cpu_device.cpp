#include "tests/support/test_device.h"

namespace ferry::testing {

std::unique_ptr<Device> make_test_device(int) { return make_cpu_device(); }

DeviceType test_device_type() { return DeviceType::Cpu; }

bool gpu_required() { return false; }

}  // namespace ferry::testing
