// Descriptors go to processes of the same user, and to nobody else.
#include "parallel/node/descriptor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <csignal>
#include <cstddef>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "base/error.h"

namespace ferry::parallel {
namespace {

using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

constexpr int kTimeoutMs = 20'000;
constexpr uid_t kNobody = 65534;

ino_t file_of(const OwnedDescriptor& descriptor) {
  struct stat info = {};
  EXPECT_EQ(::fstat(descriptor.get(), &info), 0);
  return info.st_ino;
}

class Descriptors : public ::testing::Test {
 protected:
  void SetUp() override { files_.emplace_back(::memfd_create("ferry-test", MFD_CLOEXEC)); }

  // Starts `work` in a process of another user, whose exit code is 0 if that returns true.
  static pid_t start_as_nobody(const std::function<bool()>& work) {
    const pid_t child = ::fork();
    if (child != 0) return child;
    ::_exit(::setresuid(kNobody, kNobody, kNobody) == 0 && work() ? 0 : 1);
  }
  // Connects without looking whose the listener is.
  static bool is_sent_nothing(const std::string& name) {
    const OwnedDescriptor connection(::socket(AF_UNIX, SOCK_STREAM, 0));
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    name.copy(address.sun_path + 1, name.size());
    const auto bytes = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
    if (::connect(connection.get(), reinterpret_cast<sockaddr*>(&address), bytes) != 0) return false;
    char byte = 0;
    return ::read(connection.get(), &byte, 1) == 0;
  }
  static bool succeeded(pid_t child) {
    int status = -1;
    return ::waitpid(child, &status, 0) == child && status == 0;
  }

  std::vector<OwnedDescriptor> files_;
};

TEST_F(Descriptors, ReachAPeer) {
  std::string name;
  const OwnedDescriptor listener = listen_for_peers(name);
  std::jthread sender([&] { send_descriptors(listener.get(), files_, 1, kTimeoutMs); });
  const std::vector<OwnedDescriptor> received = receive_descriptors(name, kTimeoutMs);
  ASSERT_EQ(received.size(), 1U);
  EXPECT_EQ(file_of(received[0]), file_of(files_[0]));
}

TEST_F(Descriptors, AreNotSentToAnotherUserWhoTakesNoPeersPlace) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root becomes another user";
  std::string name;
  const OwnedDescriptor listener = listen_for_peers(name);
  const pid_t stranger = start_as_nobody([&] { return is_sent_nothing(name); });
  std::jthread sender([&] { send_descriptors(listener.get(), files_, 1, kTimeoutMs); });
  EXPECT_TRUE(succeeded(stranger));
  const std::vector<OwnedDescriptor> received = receive_descriptors(name, kTimeoutMs);
  ASSERT_EQ(received.size(), 1U);
  EXPECT_EQ(file_of(received[0]), file_of(files_[0]));
}

TEST_F(Descriptors, AreNotTakenFromAnotherUser) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root becomes another user";
  int ends[2] = {-1, -1};
  ASSERT_EQ(::pipe(ends), 0);
  const pid_t stranger = start_as_nobody([&] {
    std::string name;
    const OwnedDescriptor listener = listen_for_peers(name);
    if (::write(ends[1], name.data(), name.size()) < 0) return false;
    send_descriptors(listener.get(), files_, 1, kTimeoutMs);
    return true;
  });
  char name[100] = {};
  ASSERT_GT(::read(ends[0], name, sizeof(name) - 1), 0);
  EXPECT_THAT([&] { receive_descriptors(name, kTimeoutMs); },
              ThrowsMessage<SystemError>(HasSubstr("user 65534 listens at ferry-")));
  ::kill(stranger, SIGKILL);
  EXPECT_FALSE(succeeded(stranger)) << "it served a peer";
  for (const int end : ends) ::close(end);
}

}  // namespace
}  // namespace ferry::parallel
