// Where results go: names, and the checks that come before any work.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/files/pending_file.h"

namespace ferry::worker {

// A name made from the first words of a prompt: lower-case letters, digits and everything outside ASCII are
// kept, the rest becomes single dashes; at most 48 bytes, never a piece of a character; "video" when nothing
// is left.
std::string slug_of(std::string_view prompt);

// The first characters of UTF-8 text that fit into so many bytes; never a piece of one.
std::string first_characters(const std::string& text, std::size_t bytes);

// Bytes that a file's name may have in the folder of `path`.
std::size_t longest_name(const std::string& path);

// Throws UserError unless the folder that `path` names (or would be made in) exists, is a folder and takes
// new files, and unless check_not_taken() passes.
void check_can_write(const std::string& path, bool overwrite);

// Throws UserError when no file can have this name (it is too long, say), when it is a folder's, device's,
// FIFO's or socket's, or a link's to one, or when it is a file's or link's and `overwrite` is not set.
void check_not_taken(const std::string& path, bool overwrite);

// Throws UserError when the file system takes files, but none of this name ("a:b" on vfat).  Where a
// PendingFile has the named form, it makes an empty file of the name and removes it: one process calls it.
void check_name(const std::string& path, PendingFile::Form form = PendingFile::Form::Best);

// Throws UserError when the file system of `path` has less than `bytes` free.
void check_free_space(const std::string& path, std::uint64_t bytes);

inline IfTaken if_taken(bool overwrite) { return overwrite ? IfTaken::Replace : IfTaken::Refuse; }

// Writes a file that appears whole or not at all.  Throws FileError, also when the path has been taken
// since it was checked and overwrite is not set.
void publish(const std::string& path, std::string_view bytes, bool overwrite);

}  // namespace ferry::worker
