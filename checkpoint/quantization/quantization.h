// 8-bit weights with scales, in the spellings of the programs that write them. value = q * scale, computed in
// fp32 and rounded once to the type in which the weight is kept (read_tensor), so that networks see ordinary
// weights.
//
//   X.weight                fp8 (e4m3) or int8
//   X.scale_weight          ComfyUI until 2025, with a tensor scaled_fp8 that marks the whole file
//   X.weight_scale          ComfyUI since, LightX2V, modelopt, compressed-tensors
//   X.weight_scale_inv      DeepSeek, transformers; also a multiplier
//   X.comfy_quant           uint8 text, JSON: {"format": "float8_e4m3fn", "group_size": 128}
//   X.input_scale, X.scale_input, X.activation_scale    of activations, which stay wide here: only counted
//   __metadata__ _quantization_metadata                 JSON: {"layers": {X: as in comfy_quant}}
//   config.json quantization_config                     weight_block_size, quant_method
//
// A scale is fp32, bf16 or fp16, finite and above 0, and has the shape
//
//   [], [1], [1, 1]         one per tensor
//   [out], [out, 1]         one per row
//   [r, c]                  one per block: weight_block_size or group_size, else 128 x 128; else a size that
//                           divides the shape evenly into powers of two.  The last block may be partial.
//   [out, c, 1]             c equally wide groups per row (musubi-tuner)
//
// Anything else that looks like a quantisation is refused by name: zero points, e5m2, second scales (nvfp4),
// e8m0 scales (mxfp8), packed int4, rotated weights, a scale that does not fit, half of a pair.
#pragma once

#include <cstdint>
#include <map>
#include <string>

namespace ferry::checkpoint {

// Result of Checkpoint::open.
struct Quantization {
  std::int64_t fp8_weights = 0;                // dequantised on reading
  std::int64_t int8_weights = 0;               // dequantised on reading
  std::map<std::string, std::int64_t> scales;  // "weight_scale per row" -> how many
  std::int64_t input_scales = 0;               // not used
  std::int64_t unit_scales = 0;                // exactly 1, of weights that are not 8-bit: no effect
  std::string fault;                           // why the checkpoint is refused, or empty

  bool any() const { return fp8_weights + int8_weights + input_scales + unit_scales > 0; }
};

// "60 fp8 weights dequantised when read, 60 scales weight_scale per row, 60 input scales not used", or empty.
std::string text_of(const Quantization& quantization);

// The counts as one JSON object, keyed by the struct's names.
std::string to_json(const Quantization& quantization);

}  // namespace ferry::checkpoint
