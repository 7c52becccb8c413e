// Weights that a checkpoint keeps in 8 bits with scales beside them, as the programs that make such files
// spell it.  value = q * scale, computed in fp32 and rounded once to the type in which the weight is kept
// (read_tensor), so a network sees ordinary weights.
//
//   X.weight                fp8 (e4m3) or int8
//   X.scale_weight          ComfyUI until 2025, beside a tensor scaled_fp8 that says so for the whole file
//   X.weight_scale          ComfyUI since, LightX2V, modelopt, compressed-tensors
//   X.weight_scale_inv      DeepSeek, transformers; it multiplies as well
//   X.comfy_quant           uint8 text, JSON: {"format": "float8_e4m3fn", "group_size": 128}
//   X.input_scale, X.scale_input, X.activation_scale    of activations, which stay wide here: counted only
//   __metadata__ _quantization_metadata                 JSON: {"layers": {X: what comfy_quant holds}}
//   config.json quantization_config                     weight_block_size, quant_method
//
// A scale is fp32, bf16 or fp16, finite and above 0, and has the shape
//
//   [], [1], [1, 1]         one for the tensor
//   [out], [out, 1]         one a row
//   [r, c]                  one a block: weight_block_size or group_size, else 128 x 128; else what divides
//   the
//                           shape evenly into powers of two.  The last block may be cut.
//   [out, c, 1]             c groups in each row, equally wide (musubi-tuner)
//
// Everything else that looks like a quantisation is refused by name: zero points, e5m2, second scales
// (nvfp4), e8m0 scales (mxfp8), packed int4, rotated weights, a scale that does not fit, half of a pair.
#pragma once

#include <cstdint>
#include <map>
#include <string>

namespace ferry::checkpoint {

// What Checkpoint::open found.
struct Quantization {
  std::int64_t fp8_weights = 0;                // that are dequantised when they are read
  std::int64_t int8_weights = 0;               // the same
  std::map<std::string, std::int64_t> scales;  // "weight_scale per row" -> how many
  std::int64_t input_scales = 0;               // not used
  std::int64_t unit_scales = 0;  // exactly 1, beside weights that are not in 8 bits: nothing to do
  std::string fault;             // why the checkpoint is refused, or empty

  bool any() const { return fp8_weights + int8_weights + input_scales + unit_scales > 0; }
};

// "60 fp8 weights dequantised when read, 60 scales weight_scale per row, 60 input scales not used", or empty.
std::string text_of(const Quantization& quantization);

// The counts as one JSON object, under the names of the struct.
std::string to_json(const Quantization& quantization);

}  // namespace ferry::checkpoint
