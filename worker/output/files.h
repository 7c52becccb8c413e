// Result files: they appear whole or not at all, and never in place of another without being asked.
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

// A file in the making: it is written under path(), a hidden neighbour of its place, and commit() renames it
// there.  Without commit() it is removed again.
class PendingFile {
 public:
  PendingFile(std::string final_path, bool overwrite);
  ~PendingFile();
  PendingFile(const PendingFile&) = delete;
  PendingFile& operator=(const PendingFile&) = delete;
  const std::string& path() const { return path_; }
  // Throws UserError when another file has taken the place meanwhile and overwrite is not set, SystemError
  // when the rename fails.
  void commit();

 private:
  std::string final_path_;
  std::string path_;
  bool overwrite_;
  bool committed_ = false;
};

// The whole file through a PendingFile.
void write_file(const std::string& path, std::string_view bytes, bool overwrite);

}  // namespace ferry::worker
