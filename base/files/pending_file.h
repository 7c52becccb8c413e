// Files that appear under their final names complete or not at all.
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

// A file that could not be written: path and reason.
class FileError : public SystemError {
 public:
  FileError(const std::string& path, int code);
  int code() const { return code_; }  // errno of the failed call

 private:
  int code_;
};

// What commit() does if the name exists already.
enum class IfTaken : std::uint8_t { Replace, Refuse };

// A file being written; commit() gives it its name.  It has one of two forms:
//
//   unnamed  no name (O_TMPFILE): nothing is left behind, not even after SIGKILL
//   named    on file systems without O_TMPFILE: .ferry-HOST-RANDOM.part in the same folder, locked
//            (flock) while it is written. remove_stale_temporaries() removes what a killed process left.
//
// linkat() cannot replace a file, so an unnamed file that replaces one has a name of the second form between
// two system calls.
class PendingFile {
 public:
  enum class Form : std::uint8_t { Best, Named };

  // Throws FileError if the folder does not exist or files cannot be created in it.
  explicit PendingFile(std::string path, Form form = Form::Best);
  PendingFile(const PendingFile&) = delete;
  PendingFile& operator=(const PendingFile&) = delete;
  // Discards the file unless commit() succeeded.
  ~PendingFile();

  const std::string& path() const { return path_; }
  // The temporary name in the folder; empty in the unnamed form.
  const std::string& temporary() const { return temporary_; }

  // These throw FileError, for example when the disk is full.
  void write(std::span<const std::byte> bytes, std::uint64_t offset);
  void resize(std::uint64_t bytes);
  // Writes the bytes to disk: a lack of space is reported here at the latest.
  void flush();
  // Flushes and gives the file its name, in the folder as it was at construction.  Of several processes, also
  // on several nodes, that commit the same name with Refuse, one succeeds.  Throws FileError, with code
  // EEXIST if the name is taken.
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

// Writes `content` to `path` through a PendingFile.  Throws FileError.
void write_file(const std::string& path, std::string_view content, IfTaken if_taken = IfTaken::Replace);

// True if `name` has the form of PendingFile's temporary names.
bool is_temporary_name(std::string_view name);

// Removes temporary files in `folder` that killed processes of this user left: those not locked.  Locks may
// not reach other nodes, so a file of another host is removed only after a day untouched.
void remove_stale_temporaries(const std::string& folder);

// Throws UserError unless `folder` is a directory in which this process can create files.  Also removes stale
// temporaries there.
void check_writable_folder(const std::string& folder);

}  // namespace ferry
