// Tests that end in each way, chosen by --gtest_filter, for tests/unit/outcome_test.py.
#include <gtest/gtest.h>

#include <cstdlib>
#include <string_view>

namespace {

bool second_rank() {
  const char* rank = std::getenv("OMPI_COMM_WORLD_RANK");
  return rank != nullptr && std::string_view(rank) == "1";
}

TEST(Outcome, Passes) {}

TEST(Outcome, Skips) { GTEST_SKIP() << "planted"; }

TEST(Outcome, Fails) { FAIL() << "planted"; }

TEST(Outcome, PassesOnTheSecondRankAlone) {
  if (!second_rank()) GTEST_SKIP() << "planted";
}

TEST(Outcome, FailsOnTheSecondRankAlone) {
  if (second_rank()) FAIL() << "planted";
  GTEST_SKIP() << "planted";
}

}  // namespace
