// What a checkpoint says about its quantisation beside the scales: JSON in tensors, in the header of a
// safetensors file and in config.json (checkpoint/quantization/quantization.h).
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "checkpoint/checkpoint.h"
#include "checkpoint/quantization/weight_scale.h"

namespace ferry::checkpoint {

// Of one module.
struct LayerMark {
  std::string place;            // where it stands, for messages
  std::string format;           // "float8_e4m3fn"
  DType dtype = DType::F8E4M3;  // that the format means
  bool rows = true;             // whether it allows a scale for each row
  bool blocks = true;           // and for each block
  std::optional<BlockSize> block;
};

// Of all modules: config.json.
struct ConfigMark {
  std::string place;   // file and member, or empty when it says nothing
  std::string method;  // quant_method
  bool known = false;  // whether 8-bit weights of that method are read
  std::optional<BlockSize> block;
};

using LayerMarks = std::map<std::string, LayerMark>;  // by module, without foreign prefixes

// The mark in a tensor comfy_quant.  Throws UserError: no uint8 text, no JSON, a format that is not read, a
// member whose meaning is not known.
LayerMark layer_mark(const TensorEntry& entry);

// The marks in the text of _quantization_metadata.  Throws UserError likewise.
LayerMarks layer_marks(std::string_view text, const std::string& file);

// Throws UserError when the file is damaged or says what is not read: 4 bits, asymmetric, rotated.
ConfigMark config_mark(const std::string& config_file);

}  // namespace ferry::checkpoint
