// base/files/reservation.h: one process of a node for each file.
#include "base/files/reservation.h"

#include <gtest/gtest.h>
#include <sys/wait.h>

#include <csignal>
#include <filesystem>

#include "base/error.h"
#include "tests/support/temporary_folder.h"

namespace ferry {
namespace {

namespace fs = std::filesystem;
using ::ferry::testing::TemporaryFolder;

TEST(Reservation, TwoPathsToOneFileAreOneName) {
  const TemporaryFolder folder;
  fs::create_directory(folder.file("a"));
  fs::create_directory_symlink(folder.file("a"), folder.file("link"));
  const auto held = Reservation::take(folder.file("a/x.mp4"));
  ASSERT_TRUE(held);
  EXPECT_FALSE(Reservation::take(folder.file("a/x.mp4")));
  EXPECT_FALSE(Reservation::take(folder.file("a/../a/./x.mp4")));
  EXPECT_FALSE(Reservation::take(folder.file("link/x.mp4")));
  EXPECT_TRUE(Reservation::take(folder.file("a/x.png")));
  EXPECT_TRUE(Reservation::take(folder.file("x.mp4")));
  EXPECT_FALSE(fs::exists(folder.file("a/x.mp4")));
  EXPECT_THROW(Reservation::take(folder.file("none/x.mp4")), SystemError);
}

TEST(Reservation, EndsWithItsOwner) {
  const TemporaryFolder folder;
  const std::string path = folder.file("x.mp4");
  { const auto held = Reservation::take(path); }
  EXPECT_TRUE(Reservation::take(path));
}

TEST(Reservation, HoldsAgainstAnotherProcessUntilThatIsKilled) {
  const TemporaryFolder folder;
  const std::string path = folder.file("x.mp4");
  int ready[2] = {};
  ASSERT_EQ(::pipe(ready), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    const auto held = Reservation::take(path);
    const char taken = held ? 'y' : 'n';
    if (::write(ready[1], &taken, 1) == 1) ::pause();
    ::_exit(1);
  }
  char taken = 0;
  ASSERT_EQ(::read(ready[0], &taken, 1), 1);
  EXPECT_EQ(taken, 'y');
  EXPECT_FALSE(Reservation::take(path));
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  EXPECT_TRUE(Reservation::take(path));
  ::close(ready[0]);
  ::close(ready[1]);
}

}  // namespace
}  // namespace ferry
