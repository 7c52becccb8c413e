// Reading files and querying disk space (base/files/pending_file.h writes files).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "base/files/mapping_faults.h"

namespace ferry {

// A whole file mapped read-only and shared with the page cache.  Movable; the mapping keeps its address.
// Reading from it ends the program, with the file's name, if the file is shortened (mapping_faults.h).
class MappedFile {
 public:
  MappedFile() = default;
  // Throws UserError if the file is missing, unreadable or not a regular file.
  explicit MappedFile(const std::string& path);
  MappedFile(MappedFile&& other) noexcept { swap(other); }
  MappedFile& operator=(MappedFile&& other) noexcept {
    MappedFile(std::move(other)).swap(*this);
    return *this;
  }
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ~MappedFile();

  const std::string& path() const { return path_; }
  const std::byte* data() const { return data_; }  // nullptr when empty
  std::size_t bytes() const { return bytes_; }
  std::span<const std::byte> span() const { return {data_, bytes_}; }

  // Starts reading a range; a hint that never fails.
  void prefetch(std::size_t offset, std::size_t bytes) const;
  // Drops a range that will not be read again from this process's mapping, so that it no longer counts as
  // resident; whole pages inside the range only.
  void drop(std::size_t offset, std::size_t bytes) const;

 private:
  void swap(MappedFile& other) noexcept;
  std::string path_;
  std::byte* data_ = nullptr;
  std::size_t bytes_ = 0;
  MappingGuard guard_;
};

// The whole content.  Throws as MappedFile does.
std::string read_file(const std::string& path);

// Bytes this user can still write on the file system that holds `folder`.  Throws SystemError.
std::uint64_t free_disk_bytes(const std::string& folder);

}  // namespace ferry
