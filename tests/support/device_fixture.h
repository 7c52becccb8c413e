// What is built once for the CPU and once for a GPU: golden vectors, parity probes.  A program links
// cpu_device.cpp or gpu_device.cpp, and that decides.
//
// Without a usable GPU the tests of a GPU are skipped, with the reason; with FERRY_REQUIRE_GPU=1 they fail.
#pragma once

#include <gtest/gtest.h>

#include <memory>

#include "tests/support/test_device.h"

namespace ferry::testing {

// A fixture with the program's device.  Where a derived SetUp() goes on, it first asks has_device().
class DeviceTest : public ::testing::Test {
 protected:
  void SetUp() override {
    device_ = make_test_device();
    if (has_device()) return;
    if (gpu_required()) FAIL() << "FERRY_REQUIRE_GPU=1, but no GPU is usable";
    GTEST_SKIP() << "no usable GPU";
  }
  bool has_device() const { return device_ != nullptr; }
  Device& device() { return *device_; }

 private:
  std::unique_ptr<Device> device_;
};

}  // namespace ferry::testing
