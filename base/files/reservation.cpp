#include "base/files/reservation.h"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <filesystem>

#include "base/error.h"
#include "base/files/fingerprint.h"
#include "base/files/folder_of.h"

namespace ferry {

std::string Reservation::key_of(const std::string& path) {
  const std::string folder = folder_of(path);
  struct stat info = {};
  if (::stat(folder.c_str(), &info) != 0) throw_errno("cannot read the folder " + folder);
  return fmt::format("ferry-{:x}-{:x}-{}", info.st_dev, info.st_ino,
                     fingerprint(std::filesystem::path(path).filename().string()));
}

std::optional<Reservation> Reservation::take(const std::string& path) {
  std::string key = key_of(path);
  Socket socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  static_assert(sizeof(address.sun_path) > 100, "the key is at most 6 + 16 + 1 + 16 + 1 + 32 bytes");
  // A leading zero byte makes the socket abstract: no file.
  std::memcpy(address.sun_path + 1, key.data(), key.size());
  const auto bytes = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + key.size());
  if (socket && ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), bytes) != 0) {
    if (errno == EADDRINUSE) return {};
    socket = {};
  }
  return Reservation(std::move(key), std::move(socket));
}

}  // namespace ferry
