// Writes a state dict as torch.save does: an OrderedDict of contiguous tensors, each with its own storage.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "checkpoint/formats/safetensors.h"
#include "checkpoint/formats/zip_writer.h"

namespace ferry::checkpoint {

// Pickles such a state dict (protocol 2); the storage of tensors[i] has the key "i".
// Throws std::invalid_argument for a dtype that torch has no storage class for (fp8).
std::string pickle_state_dict(const std::vector<TensorInfo>& tensors);

// Streaming writer like SafetensorsWriter: the tensors' bytes in the order given; the file appears with
// finish().
class PthWriter {
 public:
  // Throws as SafetensorsWriter does.
  PthWriter(const std::string& path, const std::vector<TensorInfo>& tensors);

  void write(std::span<const std::byte> bytes);
  void skip(std::size_t bytes);
  void finish();

 private:
  // Closes complete members and opens the next; returns how many of `bytes` fit into it.
  std::size_t room(std::size_t bytes);

  ZipWriter zip_;
  std::string prefix_;
  std::vector<std::uint64_t> sizes_;
  std::size_t next_ = 0;    // next tensor to start
  std::uint64_t left_ = 0;  // bytes left in the open member
};

}  // namespace ferry::checkpoint
