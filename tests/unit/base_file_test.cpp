// base/files/file.h
#include "base/files/file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "base/error.h"
#include "base/host/pages.h"

namespace ferry {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class FileTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "ferry-file-XXXXXX").string();
    folder_ = ::mkdtemp(name.data());
  }
  void TearDown() override { fs::remove_all(folder_); }
  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  std::string refusal(const std::string& of) const {
    try {
      const MappedFile file(of);
    } catch (const UserError& error) {
      return error.what();
    }
    return "accepted";
  }
  fs::path folder_;
};

TEST_F(FileTest, MapsTheBytesOfAFile) {
  std::ofstream(path("a")) << std::string(100000, 'x') << "end";
  const MappedFile file(path("a"));
  ASSERT_EQ(file.bytes(), 100003u);
  EXPECT_EQ(static_cast<char>(file.data()[100002]), 'd');
  file.prefetch(5000, 100);
  file.prefetch(99999, 1000000);
  file.drop(0, 200000);
  file.drop(1 << 30, 5);
  EXPECT_EQ(static_cast<char>(file.data()[100001]), 'n');  // dropped pages come back from the file
  EXPECT_EQ(read_file(path("a")).substr(99998), "xxend");
}

TEST_F(FileTest, StaysMappedWhenMovedOrRemoved) {
  std::ofstream(path("a")) << "abc";
  MappedFile file(path("a"));
  const std::byte* before = file.data();
  MappedFile moved = std::move(file);
  fs::remove(path("a"));
  EXPECT_EQ(moved.data(), before);
  EXPECT_EQ(static_cast<char>(moved.data()[2]), 'c');
}

// Reads a byte of the last of three pages after the file has lost it.
void read_beyond_the_end(MappedFile file) {
  fs::resize_file(file.path(), file.bytes() / 3);
  const volatile std::byte* data = file.data();
  static_cast<void>(data[file.bytes() - 1]);
}

TEST_F(FileTest, AFileThatIsShortenedEndsTheProgramWithItsName) {
  const std::string pages(3 * page_bytes(), 'x');
  std::ofstream(path("other")) << pages;
  const MappedFile other(path("other"));
  std::ofstream(path("short")) << pages;
  EXPECT_EXIT(read_beyond_the_end(MappedFile(path("short"))), ::testing::ExitedWithCode(1),
              "ferry: .*/short: cannot be read any longer");
}

// More of them, one after another, than can be guarded at a time.
TEST_F(FileTest, AMappingThatHasEndedIsGuardedNoLonger) {
  std::ofstream(path("a")) << "abc";
  std::ofstream(path("short")) << std::string(3 * page_bytes(), 'x');
  for (int i = 0; i < 5000; ++i) static_cast<void>(MappedFile(path("a")));
  EXPECT_EXIT(read_beyond_the_end(MappedFile(path("short"))), ::testing::ExitedWithCode(1), "/short: ");
}

TEST_F(FileTest, AFaultElsewhereHasItsDefaultEffect) {
  std::ofstream(path("a")) << "abc";
  const MappedFile guarded(path("a"));
  EXPECT_EXIT(::raise(SIGBUS), ::testing::KilledBySignal(SIGBUS), "");
}

TEST_F(FileTest, AnEmptyFileIsEmpty) {
  std::ofstream(path("empty")).flush();
  EXPECT_EQ(MappedFile(path("empty")).span().size(), 0u);
  EXPECT_EQ(read_file(path("empty")), "");
}

TEST_F(FileTest, SaysWhyAFileCannotBeRead) {
  EXPECT_THAT(refusal(path("none")), ::testing::AllOf(HasSubstr(path("none")), HasSubstr("No such file")));
  EXPECT_THAT(refusal(folder_.string()), HasSubstr("directory"));
  ASSERT_EQ(::mkfifo(path("pipe").c_str(), 0600), 0);
  EXPECT_THAT(refusal(path("pipe")), HasSubstr("not a regular file"));
  std::ofstream(path("secret")) << "x";
  ::chmod(path("secret").c_str(), 0);
  if (::geteuid() != 0) {
    EXPECT_THAT(refusal(path("secret")), HasSubstr("Permission denied"));
  }
}

TEST_F(FileTest, KnowsTheFreeSpace) {
  EXPECT_GT(free_disk_bytes(folder_.string()), 0u);
  EXPECT_THROW(free_disk_bytes(path("none")), SystemError);
}

}  // namespace
}  // namespace ferry
