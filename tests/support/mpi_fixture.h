// The base of every test that runs on several ranks.  Its TearDown all-reduces failure, so that rank 0 does
// not print PASSED while rank 1 failed.
#pragma once

#include <gtest/gtest.h>

#include "parallel/mpi/session.h"

namespace ferry::testing {

// The session that tests/support/mpi_main.cpp started.
parallel::Session& ranks();

class MpiTest : public ::testing::Test {
 protected:
  parallel::Session& session() const { return ranks(); }
  int rank() const { return ranks().rank(); }
  int size() const { return ranks().size(); }
  void TearDown() override {
    if (!ranks().all_agree(!HasFailure()) && !HasFailure()) ADD_FAILURE() << "failed on another rank";
  }
};

}  // namespace ferry::testing
