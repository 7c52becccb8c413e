// Reserves a file name for one process of a node until its file is written.
#pragma once

#include <unistd.h>

#include <optional>
#include <string>

#include "base/handle.h"

namespace ferry {

// An abstract Unix socket named after the folder's device and inode and the file's name, so that all paths to
// one file agree.  It leaves nothing on disk and ends with the process, however that ends.  Its scope is one
// network namespace: of runs on different nodes, the first to write gets the name (PendingFile::commit).
class Reservation {
 public:
  // Returns nothing if another process, or another Reservation of this one, holds the name.  Where sockets
  // are forbidden, succeeds without holding anything.
  // Throws SystemError if the folder does not exist.
  static std::optional<Reservation> take(const std::string& path);
  // The socket's name for `path`.  Throws SystemError as take() does.
  static std::string key_of(const std::string& path);

  const std::string& key() const { return key_; }

 private:
  using Socket = Handle<int, ::close, -1>;
  Reservation(std::string key, Socket socket) : key_(std::move(key)), socket_(std::move(socket)) {}
  std::string key_;
  Socket socket_;
};

}  // namespace ferry
