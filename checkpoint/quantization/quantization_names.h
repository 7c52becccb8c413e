// Names of tensors that belong to a quantisation (checkpoint/quantization/quantization.h).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace ferry::checkpoint {

enum class QuantizationRole : std::uint8_t {
  None,         // an ordinary tensor
  WeightScale,  // multiplies the tensor `target`
  InputScale,   // of the activations of a module
  FileMark,     // scaled_fp8
  LayerMark,    // comfy_quant of the module `target`
  Unknown,      // looks like part of an unsupported quantisation
};

struct QuantizationName {
  QuantizationRole role = QuantizationRole::None;
  std::string target;
  std::string_view what;  // WeightScale: its spelling; Unknown: what it is
};

// `name` must have no foreign prefixes (without_prefix).
QuantizationName quantization_name(std::string_view name);

}  // namespace ferry::checkpoint
