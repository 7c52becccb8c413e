// One network in one or more safetensors files.
#pragma once

#include <string>
#include <vector>

#include "checkpoint/folder/folder.h"
#include "checkpoint/formats/safetensors.h"

namespace ferry::checkpoint {

// Searches `folder` for, in this order: <stem>.safetensors.index.json, <stem>.safetensors,
// <stem>-0000i-of-0000n.safetensors for each stem; then, with `any_name`, for the only index or the only
// *.safetensors of any name.  Empty if there is none.
// Throws UserError: an index names a missing shard, a numbered shard is missing, several files of other names
// and none to prefer.
PartFiles find_safetensors(const std::string& folder, const std::vector<std::string>& stems, bool any_name);

// Opens the files.  With an index, every tensor named there comes from the file given there; other tensors
// are omitted and listed, except those of a quantisation: an index may be older than the scales.  Throws
// UserError: a tensor of the index is not in its shard, two files hold one tensor; as SafetensorsFile::open.
struct Shards {
  std::vector<TensorEntry> entries;
  std::vector<std::string> unindexed;  // names in the files but not in the index
  std::vector<std::shared_ptr<const void>> mappings;
  HeaderMarks marks;  // from the files' headers
};
Shards open_shards(const PartFiles& part);

}  // namespace ferry::checkpoint
