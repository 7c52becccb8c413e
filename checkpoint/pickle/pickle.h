// Reads the pickle of a .pth file without Python: a machine that knows tensors, storages and dicts (wan21.md
// section 7.2), and the names of a few harmless values, which it drops.  Any other global is refused by name;
// nothing in a file is ever executed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/dtype.h"

namespace ferry::checkpoint {

// A view of a storage; not yet checked against the storage's size.
struct PickledTensor {
  std::string storage;  // key: the archive's member <prefix>/data/<storage>
  DType dtype = DType::F32;
  std::int64_t storage_numel = 0;
  std::int64_t offset = 0;  // in elements
  std::vector<std::int64_t> shape;
  std::vector<std::int64_t> strides;  // in elements
};

// A dict with tensors, in its order; other values are omitted.
struct PickledDict {
  std::string path;  // the keys that lead to it: "generator", "model.ema"; "." for the root itself
  std::vector<std::pair<std::string, PickledTensor>> tensors;
};

// Returns every dict (or OrderedDict, defaultdict) of the pickle that holds a tensor: the root, and nested
// ones up to eight dicts deep.  Protocols 2 to 5.  Throws UserError naming `file` and the reason: truncated,
// more than 64 MB, one million values or 200,000 tensors, an opcode or global that is not allowed, a root
// that is not a dict, a repeated key or one longer than 1000 bytes.
std::vector<PickledDict> read_pickle(std::span<const std::byte> pickle, const std::string& file);

}  // namespace ferry::checkpoint
