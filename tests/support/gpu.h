// Tests that need a GPU are skipped, with the reason, where there is none; with FERRY_REQUIRE_GPU=1 that is
// a failure.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <memory>
#include <string>

#include "base/device.h"

namespace ferry::testing {

inline bool gpu_required() {
  const char* value = std::getenv("FERRY_REQUIRE_GPU");
  return value != nullptr && std::string(value) == "1";
}

// A fixture with GPU 0 as device().
class GpuTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (cuda_device_count() == 0) {
      if (gpu_required()) FAIL() << "FERRY_REQUIRE_GPU=1, but no GPU is usable";
      GTEST_SKIP() << "no usable GPU";
    }
    device_ = make_cuda_device(0);
  }
  Device& device() { return *device_; }

 private:
  std::unique_ptr<Device> device_;
};

}  // namespace ferry::testing
