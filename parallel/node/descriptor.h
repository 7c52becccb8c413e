// Passing file descriptors between processes of a node.
#pragma once

#include <unistd.h>

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "base/handle.h"

namespace ferry::parallel {

using OwnedDescriptor = Handle<int, ::close, -1>;

// Maximum per message.
inline constexpr std::size_t kMostDescriptors = 253;

// Listens on an abstract Unix socket (its name is in no file system and ends with the process).  Returns the
// socket and sets `name`.  Throws SystemError.
OwnedDescriptor listen_for_peers(std::string& name);

// Accepts connections and sends 1 to kMostDescriptors `descriptors` to each, until `peers` of this process's
// user have come; others, who may read the name in /proc/net/unix, get nothing.
// Throws SystemError, also if a peer does not connect within `timeout_ms`.
void send_descriptors(int listener, std::span<const OwnedDescriptor> descriptors, int peers, int timeout_ms);

// Connects to `name` and receives the descriptors.  Throws SystemError, also if nothing arrives within
// `timeout_ms`, or if another user listens.
std::vector<OwnedDescriptor> receive_descriptors(const std::string& name, int timeout_ms);

}  // namespace ferry::parallel
