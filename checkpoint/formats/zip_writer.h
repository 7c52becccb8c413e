// Writes a zip archive of uncompressed members as torch.save does: payloads aligned to 64 bytes, zip64 fields
// only where a number does not fit.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/formats/output.h"

namespace ferry::checkpoint {

class ZipWriter {
 public:
  explicit ZipWriter(const std::string& path) : output_(path) {}

  // Starts a member of exactly `bytes` bytes; then write() or skip() them, then call end().
  void begin(const std::string& name, std::uint64_t bytes);
  void write(std::span<const std::byte> bytes);
  void skip(std::uint64_t bytes);
  // Throws std::invalid_argument unless all bytes were written.
  void end();
  // Writes a short member: begin(), write() and end().
  void add(const std::string& name, std::string_view text);
  // Writes the directory and gives the file its name.
  void finish();

 private:
  struct Member {
    std::string name;
    std::uint64_t bytes = 0;
    std::uint64_t offset = 0;  // of the local header
    std::uint32_t checksum = 0;
  };
  std::string central(const Member& member) const;
  std::string end_records(std::uint64_t offset, std::uint64_t bytes) const;

  Output output_;
  std::vector<Member> members_;
  std::uint64_t left_ = 0;  // bytes left in the open member
};

}  // namespace ferry::checkpoint
