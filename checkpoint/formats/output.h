// A file written sequentially; it appears under its name only when complete.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/files/pending_file.h"

namespace ferry::checkpoint {

class Output {
 public:
  // Throws SystemError if the folder is not writable.
  explicit Output(const std::string& path) : file_(path) {}

  // The offset of the next byte.
  std::uint64_t position() const { return position_; }
  // These throw SystemError, for example when the disk is full.
  void write(std::span<const std::byte> bytes);
  void write(std::string_view text);
  // Leaves a hole, which reads as zeros.
  void skip(std::uint64_t bytes);
  // Overwrites bytes written earlier.
  void patch(std::uint64_t offset, std::span<const std::byte> bytes);
  // Gives the file its name.
  void finish(IfTaken if_taken = IfTaken::Replace);

 private:
  PendingFile file_;
  std::uint64_t position_ = 0;
};

}  // namespace ferry::checkpoint
