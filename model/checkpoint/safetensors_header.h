// The header of a safetensors file.
#pragma once

#include <cstddef>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "model/checkpoint/checkpoint.h"

namespace ferry::model {

struct SafetensorsHeader {
  std::vector<TensorEntry> entries;  // in the order of their data, which point into `file`
  std::map<std::string, std::string> metadata;
};

// `file` is the whole file.  Throws UserError naming `path`, the tensor and the reason.
SafetensorsHeader parse_safetensors_header(std::span<const std::byte> file, const std::string& path);

}  // namespace ferry::model
