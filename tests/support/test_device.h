// The device that a test program is built for.
#pragma once

#include <memory>

#include "base/device.h"

namespace ferry::testing {

// The CPU (cpu_device.cpp) or GPU 0 (gpu_device.cpp); nullptr where no GPU is usable.
std::unique_ptr<Device> make_test_device();

// FERRY_REQUIRE_GPU=1: what needs a GPU may not be skipped.
bool gpu_required();

}  // namespace ferry::testing
