// What is said of a failure that may come from a full host.
#include "base/host/exhausted.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <new>
#include <system_error>

#include "base/error.h"

namespace ferry {
namespace {

using ::testing::MatchesRegex;

TEST(MessageOf, AFullHostIsSaidInsteadOfAnExceptionsName) {
  EXPECT_THAT(message_of(std::bad_alloc()),
              MatchesRegex("host memory is full: [0-9.]+ GB of [0-9.]+ GB are available \\(.*\\).*"));
  const std::system_error no_thread(std::make_error_code(std::errc::resource_unavailable_try_again));
  EXPECT_THAT(message_of(no_thread), MatchesRegex("a thread could not be started \\(Resource temporarily "
                                                  "unavailable\\); of host memory [0-9.]+ GB of .*"));
}

TEST(MessageOf, OtherErrorsKeepTheirWordsButNoStack) {
  EXPECT_EQ(message_of(SystemError("cannot map 5 bytes: Cannot allocate memory")),
            "cannot map 5 bytes: Cannot allocate memory");
  EXPECT_EQ(message_of(Error("shapes differ\nException raised from f at g.cpp:7")), "shapes differ");
}

}  // namespace
}  // namespace ferry
