// The pickle of a .pth file, without Python: a machine that knows tensors, storages, dicts and nothing else
// (wan21.md section 7.2).  A global that is not on its list is refused by name, so nothing in a file is ever
// executed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/dtype.h"

namespace ferry::model {

// A view of a storage; nothing is checked against the storage's size yet.
struct PickledTensor {
  std::string storage;  // key: the archive's member <prefix>/data/<storage>
  DType dtype = DType::F32;
  std::int64_t storage_numel = 0;
  std::int64_t offset = 0;  // in elements
  std::vector<std::int64_t> shape;
  std::vector<std::int64_t> strides;  // in elements
};

// The tensors of a pickled state dict (OrderedDict or dict) in its order; other values are left out.
// Protocols 2 to 5.
// Throws UserError naming `file` and the reason: truncated, more than 64 MB or one million values, an opcode
// or global that is not on the list, a root that is no dict, a key that stands twice.
std::vector<std::pair<std::string, PickledTensor>> read_pickle(std::span<const std::byte> pickle,
                                                               const std::string& file);

}  // namespace ferry::model
