// What makes a device of its own on each rank, as an engine does, and is built once for the CPU and once for
// GPUs (tests/support/ranks_fixture.h).
#pragma once

#include <gtest/gtest.h>

#include "tests/support/mpi_fixture.h"
#include "tests/support/test_device.h"

namespace ferry::testing {

// Skipped without a GPU for each rank.  Where a derived SetUp() goes on, it first asks has_device().
class EngineRanksTest : public MpiTest {
 protected:
  void SetUp() override {
    const bool there = make_test_device() != nullptr;
    if (!there && gpu_required()) FAIL() << "no GPU";
    if (!there) GTEST_SKIP() << "no GPU";
    if (on_gpu() && cuda_device_count() < size()) GTEST_SKIP() << "needs a GPU for each rank";
  }
  static bool has_device() { return !IsSkipped() && !HasFatalFailure(); }
  static bool on_gpu() { return test_device_type() == DeviceType::Cuda; }
  static const char* device_name() { return on_gpu() ? "cuda" : "cpu"; }
};

}  // namespace ferry::testing
