// A file name that one process of a node holds while it works towards that file.
#pragma once

#include <unistd.h>

#include <optional>
#include <string>

#include "base/handle.h"

namespace ferry {

// An abstract Unix socket whose name is made from the folder's device and inode and the file's name, so that
// all paths to one file are the same.  It leaves nothing on disk and ends with the process, however that
// ends.  It reaches the processes of one network namespace: of runs on different nodes, the one that writes
// first gets the name (PendingFile::commit).
class Reservation {
 public:
  // Nothing when another process, or another Reservation of this one, holds the name.  Where sockets are
  // forbidden it holds nothing and refuses nobody.
  // Throws SystemError when the folder is not there.
  static std::optional<Reservation> take(const std::string& path);
  // What `path` is reserved as.  Throws SystemError as take() does.
  static std::string key_of(const std::string& path);

  const std::string& key() const { return key_; }

 private:
  using Socket = Handle<int, ::close, -1>;
  Reservation(std::string key, Socket socket) : key_(std::move(key)), socket_(std::move(socket)) {}
  std::string key_;
  Socket socket_;
};

}  // namespace ferry
