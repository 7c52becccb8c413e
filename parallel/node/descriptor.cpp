#include "parallel/node/descriptor.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>
#include <random>

#include "base/error.h"

namespace ferry::parallel {

namespace {

constexpr int kBacklog = 64;

// An abstract address: the path's first byte is zero.
socklen_t abstract_address(const std::string& name, sockaddr_un& address) {
  address = {};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path + 1, name.data(), name.size());
  return static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
}

OwnedDescriptor unix_socket() {
  OwnedDescriptor made(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!made) throw_errno("socket");
  return made;
}

void await_input(int descriptor, int timeout_ms, const char* what) {
  pollfd entry{.fd = descriptor, .events = POLLIN, .revents = 0};
  int ready = 0;
  do {
    ready = ::poll(&entry, 1, timeout_ms);
  } while (ready < 0 && errno == EINTR);
  if (ready < 0) throw_errno(what);
  if (ready == 0)
    throw SystemError(std::string(what) + ": nothing within " + std::to_string(timeout_ms) + " ms");
}

// The user at the other end of a connection, as the kernel knows it.
uid_t peer_user(int connection) {
  ucred peer = {};
  socklen_t bytes = sizeof(peer);
  if (::getsockopt(connection, SOL_SOCKET, SO_PEERCRED, &peer, &bytes) != 0) throw_errno("SO_PEERCRED");
  return peer.uid;
}

// A message of one byte with ancillary space for descriptors.
struct Message {
  Message() {
    part = {.iov_base = &byte, .iov_len = 1};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    header.msg_control = control;
    header.msg_controllen = sizeof(control);
  }
  Message(const Message&) = delete;
  Message& operator=(const Message&) = delete;

  char byte = 'f';
  iovec part{};
  alignas(cmsghdr) char control[CMSG_SPACE(kMostDescriptors * sizeof(int))] = {};
  msghdr header{};
};

void send_over(int connection, std::span<const OwnedDescriptor> descriptors) {
  Message message;
  const std::size_t bytes = descriptors.size() * sizeof(int);
  message.header.msg_controllen = CMSG_SPACE(bytes);
  cmsghdr* control = CMSG_FIRSTHDR(&message.header);
  control->cmsg_level = SOL_SOCKET;
  control->cmsg_type = SCM_RIGHTS;
  control->cmsg_len = CMSG_LEN(bytes);
  unsigned char* to = CMSG_DATA(control);
  for (const OwnedDescriptor& descriptor : descriptors) {
    const int number = descriptor.get();
    std::memcpy(to, &number, sizeof(int));
    to += sizeof(int);
  }
  if (::sendmsg(connection, &message.header, MSG_NOSIGNAL) != 1) throw_errno("sendmsg");
}

}  // namespace

OwnedDescriptor listen_for_peers(std::string& name) {
  std::random_device random;
  name = "ferry-" + std::to_string(::getpid()) + "-" + std::to_string(random()) + std::to_string(random());
  OwnedDescriptor listener = unix_socket();
  sockaddr_un address;
  const socklen_t length = abstract_address(name, address);
  if (::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), length) != 0) throw_errno("bind");
  if (::listen(listener.get(), kBacklog) != 0) throw_errno("listen");
  return listener;
}

void send_descriptors(int listener, std::span<const OwnedDescriptor> descriptors, int peers, int timeout_ms) {
  for (int served = 0; served < peers;) {
    await_input(listener, timeout_ms, "a rank of this node did not ask for the shared memory");
    const OwnedDescriptor connection(::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC));
    if (!connection) throw_errno("accept");
    if (peer_user(connection.get()) != ::geteuid()) continue;
    send_over(connection.get(), descriptors);
    ++served;
  }
}

std::vector<OwnedDescriptor> receive_descriptors(const std::string& name, int timeout_ms) {
  const OwnedDescriptor connection = unix_socket();
  sockaddr_un address;
  const socklen_t length = abstract_address(name, address);
  if (::connect(connection.get(), reinterpret_cast<sockaddr*>(&address), length) != 0) throw_errno("connect");
  const uid_t user = peer_user(connection.get());
  if (user != ::geteuid()) throw SystemError("user " + std::to_string(user) + " listens at " + name);
  await_input(connection.get(), timeout_ms, "the node's first rank did not send the shared memory");
  Message message;
  if (::recvmsg(connection.get(), &message.header, MSG_CMSG_CLOEXEC) != 1) throw_errno("recvmsg");
  const cmsghdr* control = CMSG_FIRSTHDR(&message.header);
  if (control == nullptr || control->cmsg_type != SCM_RIGHTS)
    throw SystemError("no descriptor in the message");
  std::vector<OwnedDescriptor> received((control->cmsg_len - CMSG_LEN(0)) / sizeof(int));
  const unsigned char* from = CMSG_DATA(control);
  for (OwnedDescriptor& descriptor : received) {
    int number = -1;
    std::memcpy(&number, from, sizeof(int));
    descriptor = OwnedDescriptor(number);
    from += sizeof(int);
  }
  return received;
}

}  // namespace ferry::parallel
