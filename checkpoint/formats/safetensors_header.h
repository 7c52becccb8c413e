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
  std::vector<TensorEntry> entries;  // in the order of their data, which point into `file` or `widened`
  std::map<std::string, std::string> metadata;
  // A LoRA's alpha ("X.alpha", one value) may be of a type that is read nowhere else: U16, U32, U64, F8_E5M2.
  // Its entry is fp64 and its value lies here; moving the deque leaves it in its place.
  std::deque<double> widened;
};

// `file` is the whole file.  Throws UserError naming `path`, the tensor and the reason.
SafetensorsHeader parse_safetensors_header(std::span<const std::byte> file, const std::string& path);

}  // namespace ferry::checkpoint
