// base/files/pending_file.h: both forms, what a killed process leaves, and who wins a name.
#include "base/files/pending_file.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cerrno>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <functional>

#include "base/error.h"
#include "base/files/file.h"
#include "tests/support/temporary_folder.h"

namespace ferry {
namespace {

namespace fs = std::filesystem;
using ::ferry::testing::TemporaryFolder;
using ::testing::HasSubstr;
using Form = PendingFile::Form;

void fill(PendingFile& file, std::string_view content) {
  file.write(std::as_bytes(std::span(content.data(), content.size())), 0);
}

// Runs `work` in a child process and waits for it; the status as waitpid gives it.
int in_child(const std::function<void()>& work) {
  const pid_t child = ::fork();
  if (child == 0) {
    work();
    ::_exit(0);
  }
  int status = -1;
  ::waitpid(child, &status, 0);
  return status;
}

int code_of(const std::function<void()>& work) {
  try {
    work();
  } catch (const FileError& error) {
    return error.code();
  }
  return 0;
}

class Pending : public ::testing::TestWithParam<Form> {
 protected:
  TemporaryFolder folder;
  std::string path = folder.file("video.mp4");
};

TEST_P(Pending, AppearsWholeWithItsNameAndNothingBesideIt) {
  PendingFile file(path, GetParam());
  fill(file, "content");
  EXPECT_FALSE(fs::exists(path));
  file.commit();
  EXPECT_EQ(read_file(path), "content");
  EXPECT_EQ(folder.entries(), 1U);
  struct stat info = {};
  ASSERT_EQ(::stat(path.c_str(), &info), 0);
  EXPECT_NE(info.st_mode & 0044, 0u) << "a result can be read by others as the umask says";
}

TEST_P(Pending, LeavesNothingWithoutCommit) {
  {
    PendingFile file(path, GetParam());
    fill(file, "content");
    EXPECT_EQ(file.temporary().empty(), GetParam() == Form::Best) << "this folder should know unnamed files";
    EXPECT_EQ(folder.entries(), GetParam() == Form::Best ? 0U : 1U);
  }
  EXPECT_EQ(folder.entries(), 0U);
}

TEST_P(Pending, ReplacesAFileAtOnceOrRefusesTo) {
  std::ofstream(path) << "old";
  {
    PendingFile file(path, GetParam());
    fill(file, "refused");
    EXPECT_EQ(code_of([&] { file.commit(IfTaken::Refuse); }), EEXIST);
  }
  EXPECT_EQ(read_file(path), "old");
  PendingFile file(path, GetParam());
  fill(file, "new");
  file.commit(IfTaken::Replace);
  EXPECT_EQ(read_file(path), "new");
  EXPECT_EQ(folder.entries(), 1U);
}

TEST_P(Pending, OfTwoThatRefuseATakenNameTheFirstGetsIt) {
  PendingFile first(path, GetParam());
  PendingFile second(path, GetParam());
  fill(first, "first");
  fill(second, "second");
  first.commit(IfTaken::Refuse);
  EXPECT_EQ(code_of([&] { second.commit(IfTaken::Refuse); }), EEXIST);
  EXPECT_EQ(read_file(path), "first");
}

TEST_P(Pending, TheLongestNameFits) {
  const std::string longest = folder.file(std::string(251, 'n') + ".mp4");
  PendingFile file(longest, GetParam());
  file.commit();
  EXPECT_TRUE(fs::exists(longest));
}

TEST_P(Pending, SaysThatItsFolderIsGone) {
  const std::string gone = folder.file("gone");
  fs::create_directory(gone);
  PendingFile file(gone + "/video.mp4", GetParam());
  fs::remove_all(gone);
  EXPECT_EQ(code_of([&] { file.commit(); }), ENOENT);
  EXPECT_EQ(code_of([&] { PendingFile(gone + "/video.mp4", GetParam()); }), ENOENT);
}

TEST_P(Pending, WhatAKilledProcessLeavesIsGoneWithTheNextRunInTheFolder) {
  const int status = in_child([&] {
    PendingFile file(path, GetParam());
    fill(file, "half");
    ::raise(SIGKILL);
  });
  ASSERT_TRUE(WIFSIGNALED(status));
  EXPECT_EQ(folder.entries(), GetParam() == Form::Best ? 0U : 1U);
  check_writable_folder(folder.path());
  EXPECT_EQ(folder.entries(), 0U);
}

INSTANTIATE_TEST_SUITE_P(Forms, Pending, ::testing::Values(Form::Best, Form::Named),
                         [](const auto& form) { return form.param == Form::Best ? "Unnamed" : "Named"; });

// A temporary file as a process of host `digits` leaves it.
std::string leftover(const TemporaryFolder& folder, const std::string& name) {
  std::ofstream(folder.file(name)) << "x";
  return folder.file(name);
}

TEST(StaleFiles, ThoseOfLivingProcessesStay) {
  const TemporaryFolder folder;
  PendingFile live(folder.file("video.mp4"), Form::Named);
  in_child([&] { remove_stale_temporaries(folder.path()); });
  EXPECT_TRUE(fs::exists(folder.file(live.temporary())));
  live.commit();
  EXPECT_TRUE(fs::exists(folder.file("video.mp4")));
}

TEST(StaleFiles, FilesOfTheUserStay) {
  const TemporaryFolder folder;
  for (const char* name :
       {".video.aB3xYz.mp4", ".ferry-notes.part", ".ferry-0123abcd-0123456789abcdeX.part",
        ".ferry-0123abcd-0123456789abcdef.part.mp4", "ferry-0123abcd-0123456789abcdef.part"}) {
    leftover(folder, name);
    EXPECT_FALSE(is_temporary_name(name)) << name;
  }
  fs::create_directory(folder.file(".ferry-0123abcd-0123456789abcdef.part"));
  fs::create_symlink("elsewhere", folder.file(".ferry-0123abcd-1123456789abcdef.part"));
  const std::size_t before = folder.entries();
  remove_stale_temporaries(folder.path());
  EXPECT_EQ(folder.entries(), before);
}

TEST(StaleFiles, ThoseOfAnotherHostGoAfterADay) {
  const TemporaryFolder folder;
  const std::string file = leftover(folder, ".ferry-00000000-0123456789abcdef.part");
  remove_stale_temporaries(folder.path());
  EXPECT_TRUE(fs::exists(file)) << "its lock may not be seen here";
  fs::last_write_time(file, fs::file_time_type::clock::now() - std::chrono::hours(25));
  remove_stale_temporaries(folder.path());
  EXPECT_FALSE(fs::exists(file));
}

TEST(WithoutProc, AnUnnamedFileIsCopiedToANamedOne) {
  const TemporaryFolder folder;
  constexpr int kNotAllowed = 77;
  const int status = in_child([&] {
    const bool hidden = ::unshare(CLONE_NEWNS) == 0 &&
                        ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
                        ::mount("tmpfs", "/proc", "tmpfs", 0, nullptr) == 0;
    if (!hidden) ::_exit(kNotAllowed);
    PendingFile file(folder.file("a"));
    fill(file, "content");
    file.commit(IfTaken::Refuse);
  });
  if (WEXITSTATUS(status) == kNotAllowed) GTEST_SKIP() << "/proc cannot be hidden by this user";
  EXPECT_EQ(status, 0);
  EXPECT_EQ(read_file(folder.file("a")), "content");
  EXPECT_EQ(folder.entries(), 1U);
}

TEST(WritableFolder, IsRefusedByName) {
  const TemporaryFolder folder;
  const auto refusal = [](const std::string& of) -> std::string {
    try {
      check_writable_folder(of);
    } catch (const UserError& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_EQ(refusal(folder.path()), "");
  EXPECT_EQ(folder.entries(), 0U);
  EXPECT_EQ(refusal(folder.file("none")),
            "the folder " + folder.file("none") + " does not exist; make it first");
  EXPECT_EQ(refusal(leftover(folder, "file")), folder.file("file") + " is not a folder");
  EXPECT_THAT(refusal("/proc"), HasSubstr("the folder /proc takes no new files: "));
  EXPECT_THAT(refusal(std::string(300, 'x')), HasSubstr("File name too long"));
}

TEST(WriteFile, ReplacesOrRefuses) {
  const TemporaryFolder folder;
  write_file(folder.file("a"), "first");
  write_file(folder.file("a"), "second");
  EXPECT_EQ(read_file(folder.file("a")), "second");
  EXPECT_EQ(code_of([&] { write_file(folder.file("a"), "third", IfTaken::Refuse); }), EEXIST);
  EXPECT_EQ(code_of([&] { write_file(folder.file("none/a"), "x"); }), ENOENT);
  EXPECT_EQ(folder.entries(), 1U);
}

}  // namespace
}  // namespace ferry
