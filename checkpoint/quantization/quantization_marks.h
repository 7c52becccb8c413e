// Quantisation metadata other than scales: JSON in tensors, in the header of a safetensors file and in
// config.json (checkpoint/quantization/quantization.h).
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "checkpoint/checkpoint.h"
#include "checkpoint/quantization/weight_scale.h"

namespace ferry::checkpoint {

// Metadata of one module.
struct LayerMark {
  std::string place;            // its location, for messages
  std::string format;           // "float8_e4m3fn"
  DType dtype = DType::F8E4M3;  // of the format
  bool rows = true;             // allows a scale per row
  bool blocks = true;           // allows a scale per block
  std::optional<BlockSize> block;
};

// Metadata for all modules: config.json.
struct ConfigMark {
  std::string place;   // file and member; empty if there is none
  std::string method;  // quant_method
  bool known = false;  // 8-bit weights of that method are supported
  std::optional<BlockSize> block;
};

using LayerMarks = std::map<std::string, LayerMark>;  // by module, without foreign prefixes

// Parses a tensor comfy_quant.  Throws UserError: not uint8 text, invalid JSON, an unsupported format, an
// unknown member.
LayerMark layer_mark(const TensorEntry& entry);

// Parses the text of _quantization_metadata.  Throws UserError as above.
LayerMarks layer_marks(std::string_view text, const std::string& file);

// Throws UserError if the file is damaged or asks for something unsupported: 4 bits, asymmetric, rotated.
ConfigMark config_mark(const std::string& config_file);

}  // namespace ferry::checkpoint
