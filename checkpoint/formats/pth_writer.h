// Writes a state dict as torch.save does: an OrderedDict of contiguous tensors, each with a storage of its
// own.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "checkpoint/formats/safetensors.h"
#include "checkpoint/formats/zip_writer.h"

namespace ferry::checkpoint {

// The pickle of such a state dict (protocol 2); the storage of tensors[i] has the key "i".
// Throws std::invalid_argument for a dtype that torch has no storage class for (fp8).
std::string pickle_state_dict(const std::vector<TensorInfo>& tensors);

// A stream like SafetensorsWriter: the tensors' bytes in the order given; the file appears with
// finish().
class PthWriter {
 public:
  // Throws as SafetensorsWriter does.
  PthWriter(const std::string& path, const std::vector<TensorInfo>& tensors);

  void write(std::span<const std::byte> bytes);
  void skip(std::size_t bytes);
  void finish();

 private:
  // Ends members that are full and starts the next; returns the bytes that fit, at most `bytes`.
  std::size_t room(std::size_t bytes);

  ZipWriter zip_;
  std::string prefix_;
  std::vector<std::uint64_t> sizes_;
  std::size_t next_ = 0;    // tensor whose member starts next
  std::uint64_t left_ = 0;  // of the open member
};

}  // namespace ferry::checkpoint
