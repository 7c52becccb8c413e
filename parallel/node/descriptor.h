// Passing file descriptors from one process of a machine to another.
#pragma once

#include <unistd.h>

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "base/handle.h"

namespace ferry::parallel {

using OwnedDescriptor = Handle<int, ::close, -1>;

// As many as one message carries.
inline constexpr std::size_t kMostDescriptors = 253;

// Listens on an abstract Unix socket (a name that is in no file system and ends with the process).
// Returns the socket and sets `name`.  Throws SystemError.
OwnedDescriptor listen_for_peers(std::string& name);

// Accepts `peers` connections and sends `descriptors`, one at least and kMostDescriptors at most, to each.
// Throws SystemError, also when a peer does not come within `timeout_ms`.
void send_descriptors(int listener, std::span<const OwnedDescriptor> descriptors, int peers, int timeout_ms);

// Connects to `name` and receives what is sent there.  Throws SystemError, also when nothing comes within
// `timeout_ms`.
std::vector<OwnedDescriptor> receive_descriptors(const std::string& name, int timeout_ms);

}  // namespace ferry::parallel
