// The rows of a sweep and who measures what, for processes on any nodes that see one file.
//
//   FILE        JSON lines, one for each cell, appended.  A row is a line that ends and is a JSON object with
//               `cell` and either `step_s` or `error`; what a killed process left at the end is cut off when
//               the next row is appended
//   FILE.lock   its bytes are locked, never written: byte 0 while FILE is appended to, one byte for each cell
//               (by a hash of its name) while a process measures it
//
// The locks are the kernel's (fcntl, of open file descriptions) and end with the process, however that ends.
// FILE is opened anew for each look at it: so NFS shows what other nodes have written until then.
#pragma once

#include <unistd.h>

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/handle.h"

namespace ferry::launcher {

class SweepFile {
 public:
  // Creates what is not there.  Throws UserError in one line: `path` cannot be written, is not the file of a
  // sweep, or lies on a file system without locks.
  explicit SweepFile(std::string path);

  // The right to measure a cell; ends with the object.  Move-only.
  class Claim {
   public:
    Claim(Claim&& other) noexcept;
    Claim& operator=(Claim&& other) noexcept;
    ~Claim();

   private:
    friend class SweepFile;
    Claim(int lock, std::int64_t byte) : lock_(lock), byte_(byte) {}
    int lock_ = -1;  // descriptor; the file's
    std::int64_t byte_ = 0;
  };

  // Nothing if the cell has a row, or another process measures it.  A process has one claim at a time: its
  // own locks do not stop it.  Throws SystemError.
  std::optional<Claim> claim(const std::string& cell);
  // Reads what has been appended since.
  void take_new_rows();
  // True if it has a row among those read so far.
  bool knows(const std::string& cell) const { return cells_.contains(cell); }
  // The file's rows so far, in its order.
  const std::vector<std::string>& rows();
  // Appends a row, one line without its end, and waits until it is on disk.  Throws SystemError; then FILE is
  // as before.
  void append(const std::string& row);

  const std::string& path() const { return path_; }

 private:
  using Descriptor = Handle<int, ::close, -1>;
  void take_new_rows(int file);
  void take(std::string_view line, std::size_t number);
  void cut_torn_end(int file);

  std::string path_;
  Descriptor lock_;
  std::uint64_t read_ = 0;  // bytes of whole lines that have been read
  std::size_t lines_ = 0;
  std::set<std::string> cells_;
  std::vector<std::string> rows_;
};

// The byte of FILE.lock that stands for a cell.
std::int64_t byte_of(const std::string& cell);

}  // namespace ferry::launcher
