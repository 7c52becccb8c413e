// The list of a manifest's items that could not be made.
//
//   JSON lines, in the manifest's order
//     line       of the manifest, from 1
//     id         the item's, or null
//     error      one line
//     exit_code  what a run of its own would have ended with: 2 for wrong input, 1 for a failure
#pragma once

#include <map>
#include <string>

#include "worker/batch/batch.h"

namespace ferry::worker {

// Used by the first rank.  The file is complete after every call.
class FailedList {
 public:
  explicit FailedList(std::string path) : path_(std::move(path)) {}

  // Throws UserError if the list cannot be written.
  void check() const;
  // An item is listed once.  Throws FileError.
  void add(const BatchItem& item, const std::string& error, int exit_code);
  // Replaces the list of an earlier run; without failed items there is no file.  Throws FileError.
  void write() const;

  std::size_t size() const { return lines_.size(); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
  std::map<int, std::string> lines_;
};

}  // namespace ferry::worker
