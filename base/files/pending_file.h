// Files that appear under their names whole or not at all.
#pragma once

#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/handle.h"

namespace ferry {

// A file that could not be written: its path and why.
class FileError : public SystemError {
 public:
  FileError(const std::string& path, int code);
  int code() const { return code_; }  // of errno

 private:
  int code_;
};

// What to do with a file that has the name already.
enum class IfTaken : std::uint8_t { Replace, Refuse };

// A file in the making; commit() gives it its name.  It has one of two forms:
//
//   unnamed  without any name (O_TMPFILE): nothing of it can stay, not even after SIGKILL
//   named    where the file system has no such files: .ferry-HOST-RANDOM.part in the same folder, locked
//            (flock) while it is written.  What a killed process left of it, remove_stale_temporaries()
//            removes.
//
// A link cannot replace a file, so an unnamed file that replaces one gets a name of the second kind for the
// time between two system calls.
class PendingFile {
 public:
  enum class Form : std::uint8_t { Best, Named };

  // Throws FileError when the folder does not exist or takes no file.
  explicit PendingFile(std::string path, Form form = Form::Best);
  PendingFile(const PendingFile&) = delete;
  PendingFile& operator=(const PendingFile&) = delete;
  // Without commit() nothing stays.
  ~PendingFile();

  const std::string& path() const { return path_; }
  // The hidden name in the folder; empty in the unnamed form.
  const std::string& temporary() const { return temporary_; }

  // These throw FileError, for a full disk say.
  void write(std::span<const std::byte> bytes, std::uint64_t offset);
  void resize(std::uint64_t bytes);
  // Brings the bytes to disk: what can fail for want of room has failed after it.
  void flush();
  // flush(), and the name, in the folder as it was when the file was begun.  Of several processes, also of
  // several nodes, that refuse a taken name one gets it.  Throws FileError, with the code EEXIST when the
  // name is taken.
  void commit(IfTaken if_taken = IfTaken::Replace);

 private:
  using Descriptor = Handle<int, ::close, -1>;
  [[noreturn]] void fail(int code) const;
  void open_named();
  bool link_as(const std::string& name) const;
  void take_temporary_name();
  void rename_temporary(IfTaken if_taken);

  std::string path_;
  std::string name_;
  std::string temporary_;
  Descriptor folder_;
  Descriptor file_;
};

// Writes `content` to `path` by way of a PendingFile.  Throws FileError.
void write_file(const std::string& path, std::string_view content, IfTaken if_taken = IfTaken::Replace);

// Whether a file's name is one that PendingFile's named form gives.
bool is_temporary_name(std::string_view name);

// Removes what killed processes of this user left of their named files in `folder`: those that nobody holds
// locked.  Locks may not reach other nodes, so a file of another host goes only after a day untouched.
void remove_stale_temporaries(const std::string& folder);

// Throws UserError unless `folder` is a directory in which this process can make files.  Also removes what is
// stale there.
void check_writable_folder(const std::string& folder);

}  // namespace ferry
