// Passing a file descriptor from one process of a machine to another.
#pragma once

#include <unistd.h>

#include <string>

#include "base/handle.h"

namespace ferry::parallel {

using OwnedDescriptor = Handle<int, ::close, -1>;

// Listens on an abstract Unix socket (a name that is in no file system and ends with the process).
// Returns the socket and sets `name`.  Throws SystemError.
OwnedDescriptor listen_for_peers(std::string& name);

// Accepts `peers` connections and sends `descriptor` to each.  Throws SystemError, also when a peer does not
// come within `timeout_ms`.
void send_descriptor(int listener, int descriptor, int peers, int timeout_ms);

// Connects to `name` and receives a descriptor.  Throws SystemError, also when nothing comes within
// `timeout_ms`.
OwnedDescriptor receive_descriptor(const std::string& name, int timeout_ms);

}  // namespace ferry::parallel
