// Ranks whose tests call LibTorch.
#pragma once

#include <gtest/gtest.h>

#include <optional>

#include "model/tensor.h"
#include "model/torch_stream.h"
#include "tests/support/ranks_fixture.h"

namespace ferry::testing {

// During a test LibTorch works on the compute stream of the rank's device.
class TorchRanksTest : public DeviceRanksTest {
 protected:
  void SetUp() override {
    DeviceRanksTest::SetUp();
    if (has_device()) on_.emplace(device());
  }
  void TearDown() override {
    if (has_device()) {
      EXPECT_NO_THROW(device().compute().synchronize());
    }
    on_.reset();
    DeviceRanksTest::TearDown();
  }
  at::Device place() { return model::torch_device(device()); }

 private:
  std::optional<model::TorchStream> on_;
};

}  // namespace ferry::testing
