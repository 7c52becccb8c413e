// Reads and writes single safetensors files (wan21.md section 8).
//
//   [u64 N][N bytes of JSON, padded with spaces][data]
//   JSON: {"__metadata__": {text: text}, name: {"dtype", "shape", "data_offsets": [begin, end]}, ...}
//   offsets are relative to the byte after the JSON; tensors are little-endian and row-major, and cover the
//   data without gap or overlap.
#pragma once

#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/dtype.h"
#include "base/files/pending_file.h"
#include "checkpoint/checkpoint.h"

namespace ferry::checkpoint {

class SafetensorsFile {
 public:
  // Maps the file and reads its header.
  // Throws UserError naming the file, the tensor and the reason.
  static SafetensorsFile open(const std::string& path);

  const std::string& path() const { return path_; }
  // In order of their data.
  const std::vector<TensorEntry>& entries() const { return entries_; }
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  // The tensor of that name, or nullptr.
  const TensorEntry* find(std::string_view name) const;
  // As above; throws UserError naming the file and the names in it.
  const TensorEntry& at(std::string_view name) const;
  // Keeps the mapping, and so every entry's data, alive.
  std::shared_ptr<const void> mapping() const { return mapping_; }

 private:
  std::string path_;
  std::vector<TensorEntry> entries_;
  std::unordered_map<std::string, std::size_t> index_;
  std::map<std::string, std::string> metadata_;
  std::shared_ptr<const void> mapping_;
};

struct TensorInfo {
  std::string name;
  DType dtype = DType::F32;
  std::vector<std::int64_t> shape;

  std::size_t bytes() const;
};

// Streaming writer: the header at once, then the tensors' bytes in the order given.  Pass wide types first,
// so that every tensor is aligned.  The file appears under its name with finish(), or not at all
// (base/files/pending_file.h).
class SafetensorsWriter {
 public:
  // Throws std::invalid_argument for a repeated name or a negative extent; SystemError if the file cannot be
  // created.
  SafetensorsWriter(const std::string& path, const std::vector<TensorInfo>& tensors,
                    const std::map<std::string, std::string>& metadata = {});
  SafetensorsWriter(SafetensorsWriter&&) noexcept;
  SafetensorsWriter& operator=(SafetensorsWriter&&) noexcept;
  ~SafetensorsWriter();

  // The file's first bytes, up to the data.
  const std::string& header() const;
  // Appends bytes; a tensor may be written in several pieces.
  // Throws std::invalid_argument past the end of the last tensor; SystemError, for example when the disk is
  // full.
  void write(std::span<const std::byte> bytes);
  // Leaves a hole that reads as zeros and takes no disk space.
  void skip(std::size_t bytes);
  // Throws std::invalid_argument unless all bytes were written; SystemError.
  void finish(IfTaken if_taken = IfTaken::Replace);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace ferry::checkpoint
