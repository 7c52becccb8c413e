// What runs on several ranks and is built once for the CPU and once for GPUs, one for each rank: a program
// links cpu_device.cpp or gpu_device.cpp, and that decides.
//
// Where the ranks of a node cannot have a GPU each, the tests are skipped on every rank, with the reason;
// with FERRY_REQUIRE_GPU=1 they fail when there is one rank, or when a rank sees as many GPUs as there are
// ranks.
#pragma once

#include <gtest/gtest.h>

#include <memory>

#include "base/error.h"
#include "parallel/binding.h"
#include "parallel/groups.h"
#include "tests/support/mpi_fixture.h"
#include "tests/support/test_device.h"

namespace ferry::testing {

// All ranks as one Ulysses group.  Where a derived SetUp() goes on, it first asks has_device().
class DeviceRanksTest : public MpiTest {
 protected:
  void SetUp() override {
    try {
      const bool cuda = test_device_type() == DeviceType::Cuda;
      device_ = make_test_device(cuda ? parallel::gpu_of_rank(session()) : 0);
    } catch (const UserError& error) {  // on every rank
      if (gpu_required() && (size() == 1 || cuda_device_count() >= size())) {
        FAIL() << "FERRY_REQUIRE_GPU=1, but: " << error.what();
      }
      GTEST_SKIP() << error.what();
    }
    use(parallel::ExchangeBy::Auto);
    if (on_gpu()) exchange_ = device_->make_stream("exchange", Priority::High);
  }
  bool has_device() const { return device_ != nullptr; }
  bool on_gpu() const { return device_->type() == DeviceType::Cuda; }
  Device& device() { return *device_; }
  parallel::Groups& groups() { return groups_; }
  // New groups whose exchanges go that way; nothing of the old ones is in use.  Collective.
  void use(parallel::ExchangeBy exchange) {
    const parallel::Mesh mesh = {.data = 1, .cfg = 1, .ulysses = size(), .ulysses_index = rank()};
    groups_ = {};
    groups_ = parallel::make_groups(session(), mesh, *device_, exchange);
  }
  // As in worker/rank.h.
  Stream& exchange() { return on_gpu() ? *exchange_ : session().comm(); }

 private:
  std::unique_ptr<Device> device_;
  parallel::Groups groups_;
  std::unique_ptr<Stream> exchange_;
};

}  // namespace ferry::testing
