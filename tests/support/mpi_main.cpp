// main() of the tests that run on several ranks: one Session lives around all of them, only rank 0 prints
// what passes, and a failure on any rank fails the process on every rank.  Skipped is what every rank
// skipped.
#include <gtest/gtest.h>

#include <cstdio>
#include <exception>
#include <stdexcept>

#include "base/hardware_queues.h"
#include "parallel/mpi/session.h"
#include "tests/support/mpi_fixture.h"
#include "tests/support/outcome.h"

namespace ferry::testing {

namespace {

constexpr double kDeadline_s = 60;  // shorter than CTest's, so that a rank that hangs is named

parallel::Session* session = nullptr;

// On ranks other than 0: failures only.
class FailurePrinter : public ::testing::EmptyTestEventListener {
 public:
  explicit FailurePrinter(int rank) : rank_(rank) {}
  void OnTestPartResult(const ::testing::TestPartResult& result) override {
    if (!result.failed()) return;
    std::fprintf(stderr, "[rank %d] %s:%d: %s\n", rank_,
                 result.file_name() != nullptr ? result.file_name() : "?", result.line_number(),
                 result.message());
  }

 private:
  int rank_;
};

int run(parallel::Session& ranks) {
  session = &ranks;
  ranks.set_deadline(kDeadline_s);
  auto& listeners = ::testing::UnitTest::GetInstance()->listeners();
  if (ranks.rank() != 0) {
    delete listeners.Release(listeners.default_result_printer());
    listeners.Append(new FailurePrinter(ranks.rank()));
  }
  const bool passed = RUN_ALL_TESTS() == 0;
  session = nullptr;
  const bool all_passed = ranks.all_agree(passed);
  return exit_code(all_passed, ranks.all_agree(all_skipped()));
}

}  // namespace

parallel::Session& ranks() {
  if (session == nullptr) throw std::logic_error("no session: this test needs tests/support/mpi_main.cpp");
  return *session;
}

}  // namespace ferry::testing

int main(int argc, char** argv) {
  static_cast<void>(ferry::provide_hardware_queues());
  ferry::parallel::Session ranks(argc, argv);
  ::testing::InitGoogleTest(&argc, argv);
  try {
    return ferry::testing::run(ranks);
  } catch (const std::exception& error) {
    ranks.abort(error.what());
  }
}
