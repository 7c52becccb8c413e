// Where results go: names, and the checks that come before any work.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace ferry::worker {

// A name made from the first words of a prompt: lower-case letters, digits and everything outside ASCII are
// kept, the rest becomes single dashes; at most 48 bytes, never a piece of a character; "video" when nothing
// is left.
std::string slug_of(std::string_view prompt);

// Throws UserError unless the folder that `path` names (or would be made in) exists, is a folder and takes
// new files, or when `path` itself exists and `overwrite` is not set.
void check_can_write(const std::string& path, bool overwrite);

// Throws UserError when the file system of `path` has less than `bytes` free.
void check_free_space(const std::string& path, std::uint64_t bytes);

// Writes a file that appears whole or not at all.  Throws UserError when the path has been taken since it
// was checked and overwrite is not set.
void publish(const std::string& path, std::string_view bytes, bool overwrite);

}  // namespace ferry::worker
