// Paths as people write them, and files that are read.
#pragma once

#include <string>

namespace ferry::launcher {

// "~" and "~/x" from $HOME (without it, from the user's entry in the system), "~name/x" from that user's
// entry; everything else as it is, a "~name" of nobody too, as shells do.  "./~x" is a file whose name begins
// with '~'.
// Throws UserError when there is no home folder.
std::string expand_home(const std::string& path);

// Throws UserError "<flag>: <path>: ..." unless it is a regular file: an empty path, no such file, a folder,
// a device, a FIFO, a socket.  (Every rank reads the file, so that a pipe would be empty for all but one.)
void check_input_file(const std::string& flag, const std::string& path);

}  // namespace ferry::launcher
