// main() of the tests that run in one process.
#include <gtest/gtest.h>

#include "base/hardware_queues.h"
#include "tests/support/outcome.h"

int main(int argc, char** argv) {
  static_cast<void>(ferry::provide_hardware_queues());
  ::testing::InitGoogleTest(&argc, argv);
  const bool passed = RUN_ALL_TESTS() == 0;
  return ferry::testing::exit_code(passed, ferry::testing::all_skipped());
}
