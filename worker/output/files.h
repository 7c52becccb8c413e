// Names of results, and checks that precede any work.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/files/pending_file.h"

namespace ferry::worker {

// A file name from the first words of a prompt: lower-case letters, digits and non-ASCII characters are kept,
// the rest becomes single dashes; at most 48 bytes, truncated between characters; "video" if nothing is left.
std::string slug_of(std::string_view prompt);

// The longest prefix of UTF-8 text within `bytes`, truncated between characters.
std::string first_characters(const std::string& text, std::size_t bytes);

// Maximum length of a file name in the folder of `path`.
std::size_t longest_name(const std::string& path);

// Throws UserError unless the parent folder of `path` exists, is a folder and accepts new files, and
// check_not_taken() passes.
void check_can_write(const std::string& path, bool overwrite);

// Throws UserError if the name is invalid (for example too long), if it is a folder, device, FIFO or socket,
// or a link to one, or if it is a file or link and `overwrite` is not set.
void check_not_taken(const std::string& path, bool overwrite);

// Throws UserError if the file system accepts files but not this name ("a:b" on vfat).  With PendingFile's
// named form, creates an empty file of the name and removes it; call from one process.
void check_name(const std::string& path, PendingFile::Form form = PendingFile::Form::Best);

// Throws UserError if the file system of `path` has less than `bytes` free.
void check_free_space(const std::string& path, std::uint64_t bytes);

inline IfTaken if_taken(bool overwrite) { return overwrite ? IfTaken::Replace : IfTaken::Refuse; }

// Writes a file that appears complete or not at all.  Throws FileError, also if the path has been taken since
// the check and overwrite is not set.
void publish(const std::string& path, std::string_view bytes, bool overwrite);

}  // namespace ferry::worker
