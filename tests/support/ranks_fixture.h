// What runs on several ranks and is built once for the CPU and once for GPUs, one for each rank: a program
// links cpu_device.cpp or gpu_device.cpp, and that decides.
//
// Where a node has fewer GPUs than ranks the tests are skipped on every rank; with FERRY_REQUIRE_GPU=1 one
// rank fails without a GPU.
#pragma once

#include <gtest/gtest.h>

#include <memory>

#include "parallel/groups.h"
#include "tests/support/mpi_fixture.h"
#include "tests/support/test_device.h"

namespace ferry::testing {

// All ranks as one Ulysses group.  Where a derived SetUp() goes on, it first asks has_device().
class DeviceRanksTest : public MpiTest {
 protected:
  void SetUp() override {
    device_ = make_test_device(session().node_rank());
    if (!session().all_agree(has_device())) {
      device_.reset();
      if (gpu_required() && size() == 1) FAIL() << "FERRY_REQUIRE_GPU=1, but no GPU is usable";
      GTEST_SKIP() << "fewer usable GPUs than ranks";
    }
    const parallel::Mesh mesh = {.data = 1, .cfg = 1, .ulysses = size(), .ulysses_index = rank()};
    groups_ = parallel::make_groups(session(), mesh, *device_);
    if (on_gpu()) exchange_ = device_->make_stream("exchange", Priority::High);
  }
  bool has_device() const { return device_ != nullptr; }
  bool on_gpu() const { return device_->type() == DeviceType::Cuda; }
  Device& device() { return *device_; }
  parallel::Groups& groups() { return groups_; }
  // As in worker/rank.h.
  Stream& exchange() { return on_gpu() ? *exchange_ : session().comm(); }

 private:
  std::unique_ptr<Device> device_;
  parallel::Groups groups_;
  std::unique_ptr<Stream> exchange_;
};

}  // namespace ferry::testing
