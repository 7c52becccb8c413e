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
  Unknown,      // named like a part of a quantisation that is not read
};

struct QuantizationName {
  QuantizationRole role = QuantizationRole::None;
  std::string target;
  std::string_view what;  // WeightScale: its spelling; Unknown: what it is
};

// `name` is without foreign prefixes (without_prefix).
QuantizationName quantization_name(std::string_view name);

}  // namespace ferry::checkpoint
