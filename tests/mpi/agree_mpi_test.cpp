// parallel/agree.h on real ranks.
#include "parallel/agree.h"

#include <gtest/gtest.h>

#include <stdexcept>
#include <string>
#include <typeinfo>

#include "base/error.h"
#include "base/run_failure.h"
#include "tests/support/mpi_fixture.h"

namespace ferry::parallel {
namespace {

class AgreeTest : public ferry::testing::MpiTest {
 protected:
  // As the ranks say it in whose name an error is thrown.
  std::string named(int rank, const std::string& what) const {
    return size() == 1 ? what : "rank " + std::to_string(rank) + ": " + what;
  }

  // That every rank throws exactly an E with these words when the last rank alone throws `error`.
  template <class E, class Thrown>
  void expect_everywhere(const Thrown& error, const std::string& what) {
    try {
      fail_together(world_peers(session()), [&] {
        if (rank() == size() - 1) throw error;
      });
      ADD_FAILURE() << "no error on rank " << rank();
    } catch (const std::exception& caught) {
      EXPECT_EQ(typeid(caught), typeid(E)) << what;
      EXPECT_EQ(caught.what(), what);
    }
  }
};

TEST_F(AgreeTest, AnErrorKeepsItsKindAndItsWordsOnEveryRank) {
  const int last = size() - 1;
  const std::string words = "2 of 3: no\nroom";
  expect_everywhere<UserError>(UserError(words), words);
  expect_everywhere<UserError>(UserError(""), "");
  expect_everywhere<OutOfMemory>(OutOfMemory(words), named(last, words));
  expect_everywhere<CudaError>(CudaError(words), named(last, words));
  expect_everywhere<NcclError>(NcclError(words), named(last, words));
  expect_everywhere<MpiError>(MpiError(words), named(last, words));
  expect_everywhere<SystemError>(SystemError(words), named(last, words));
  expect_everywhere<RunFailure>(RunFailure(words), named(last, words));
  expect_everywhere<Error>(Error(words), named(last, words));
  expect_everywhere<Error>(std::invalid_argument(words), named(last, words));
}

TEST_F(AgreeTest, TheFirstRankThatFailsIsHeard) {
  try {
    fail_together(world_peers(session()), [&] {
      if (rank() == 0) throw OutOfMemory("first");
      throw SystemError("later");
    });
    ADD_FAILURE() << "no error on rank " << rank();
  } catch (const OutOfMemory& error) {
    EXPECT_EQ(error.what(), named(0, "first"));
  }
}

TEST_F(AgreeTest, WithoutAFailureNothingIsThrown) {
  int done = 0;
  fail_together(world_peers(session()), [&] { ++done; });
  fail_together(node_peers(session()), [&] { ++done; });
  fail_together({}, [&] { ++done; });
  agree(session(), [&] { ++done; });
  EXPECT_EQ(done, 4);
}

TEST_F(AgreeTest, WrongInputOnOneRankIsThrownOnEveryRank) {
  try {
    agree(session(), [&] {
      if (rank() == size() - 1) throw UserError("wrong on the last rank");
    });
    ADD_FAILURE() << "no error on rank " << rank();
  } catch (const UserError& error) {
    EXPECT_STREQ(error.what(), "wrong on the last rank");
  }
}

// Were it agreed on, the other ranks would be waited for.
TEST_F(AgreeTest, OtherErrorsPassThroughInTheNameOfTheirRank) {
  if (rank() != 0) return;
  EXPECT_THROW(agree(session(), [] { throw CudaError("lost"); }), CudaError);
}

TEST_F(AgreeTest, EveryRankHasWhatRank0SaysOrItsError) {
  EXPECT_EQ(from_rank_0(session(), [&] { return "from " + std::to_string(rank()); }), "from 0");
  EXPECT_EQ(from_rank_0(session(), [] { return std::string(); }), "");
  const auto fails = [&]() -> std::string { throw UserError("no: " + std::to_string(rank())); };
  try {
    from_rank_0(session(), fails);
    ADD_FAILURE() << "no error on rank " << rank();
  } catch (const UserError& error) {
    EXPECT_STREQ(error.what(), "no: 0");
  }
}

}  // namespace
}  // namespace ferry::parallel
