// Paths as users write them, and checks of input files.
#pragma once

#include <cstddef>
#include <istream>
#include <string>

namespace ferry::launcher {

// Expands "~" and "~/x" with $HOME (or the user database), "~name/x" with that user's entry; other paths are
// unchanged, including an unknown "~name", as in shells. "./~x" is a file whose name starts with '~'.
// Throws UserError if there is no home folder.
std::string expand_home(const std::string& path);

// Throws UserError "<flag>: <path>: ..." unless it is a regular file: an empty path, no such file, a folder,
// a device, a FIFO, a socket.  (Every rank reads the file, so a pipe would be empty for all but one.)
void check_input_file(const std::string& flag, const std::string& path);

// Reads a stream to its end, piece by piece: files in /proc report size 0.  Throws UserError "<name>: ..." if
// it cannot be read or has more than `most` bytes.
std::string read_to_end(std::istream& source, const std::string& name, std::size_t most);

}  // namespace ferry::launcher
