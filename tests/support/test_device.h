// The device that a test program is built for.
#pragma once

#include <memory>

#include "base/device.h"

namespace ferry::testing {

// The CPU (cpu_device.cpp), whatever `index`, or GPU `index` (gpu_device.cpp); nullptr where that is not
// usable.
std::unique_ptr<Device> make_test_device(int index = 0);

// What make_test_device() makes.
DeviceType test_device_type();

// FERRY_REQUIRE_GPU=1: what needs a GPU may not be skipped.
bool gpu_required();

}  // namespace ferry::testing
