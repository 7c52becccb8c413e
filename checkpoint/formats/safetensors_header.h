// The header of a safetensors file.
#pragma once

#include <cstddef>
#include <deque>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "checkpoint/checkpoint.h"

namespace ferry::checkpoint {

struct SafetensorsHeader {
  std::vector<TensorEntry> entries;  // in order of their data, in `file` or `widened`
  std::map<std::string, std::string> metadata;
  // A LoRA's alpha ("X.alpha", one value) may have a type that is read nowhere else: U16, U32, U64, F8_E5M2.
  // Its entry is fp64 and its value is stored here; moving the deque keeps its address.
  std::deque<double> widened;
};

// `file` is the whole file.  Throws UserError naming `path`, the tensor and the reason.
SafetensorsHeader parse_safetensors_header(std::span<const std::byte> file, const std::string& path);

}  // namespace ferry::checkpoint
