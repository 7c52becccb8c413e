// How a program of tests ends.
#pragma once

#include <gtest/gtest.h>

namespace ferry::testing {

// The exit code that CTest takes for skipped (SKIP_RETURN_CODE in cmake/FerryTargets.cmake).  A code, and not
// a pattern in what is printed: with a pattern a program that fails after printing it counts as skipped.
inline constexpr int kSkippedExit = 77;

// After RUN_ALL_TESTS(): nothing failed, and every test that was chosen was skipped.
inline bool all_skipped() {
  const ::testing::UnitTest& tests = *::testing::UnitTest::GetInstance();
  return tests.Passed() && tests.successful_test_count() == 0 && tests.skipped_test_count() > 0;
}

inline int exit_code(bool passed, bool skipped) {
  if (!passed) return 1;
  return skipped ? kSkippedExit : 0;
}

}  // namespace ferry::testing
