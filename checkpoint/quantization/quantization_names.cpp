#include "checkpoint/quantization/quantization_names.h"

#include <algorithm>
#include <array>

#include "base/text/lower.h"

namespace ferry::checkpoint {

namespace {

struct Ending {
  std::string_view text;
  std::string_view what;
};

constexpr std::string_view kZeroPoint = "a zero point";
constexpr std::string_view kTwoScales = "a second scale, as nvfp4 has it";
constexpr std::string_view kPacked = "part of a packed weight of 4 bits";
constexpr std::string_view kBitsandbytes = "part of a weight of bitsandbytes";
constexpr std::string_view kInputs = "a scale that its layer's inputs must be multiplied by";
constexpr std::string_view kObserved = "a range that a quantiser measured";
constexpr std::string_view kOther = "a scale whose meaning is not known";

// Suffixes of a name's last part, at its start or after a '_'; the first match wins.
constexpr std::array<Ending, 38> kUnknown = {
    {{"scale_2", kTwoScales},
     {"global_scale", kTwoScales},
     {"weight_scalar", "a second scale, as hybrids of mxfp8 have it"},
     {"zero_point", kZeroPoint},
     {"zero_points", kZeroPoint},
     {"zeropoint", kZeroPoint},
     {"zeros", kZeroPoint},
     {"qzeros", kZeroPoint},
     {"wzeros", kZeroPoint},
     {"zp", kZeroPoint},
     {"weight_offset", kZeroPoint},
     {"input_offset", kZeroPoint},
     {"pre_quant_scale", kInputs},
     {"smooth_scale", kInputs},
     {"smooth_factor", kInputs},
     {"qweight", kPacked},
     {"weight_packed", kPacked},
     {"weight_shape", kPacked},
     {"g_idx", kPacked},
     {"wscales", kPacked},
     {"s_rel", kPacked},
     {"s_channel", kPacked},
     {"codebook", kPacked},
     {"qdata", "part of a weight of torchao"},
     {"quant_bias", kOther},
     {"absmax", kBitsandbytes},
     {"quant_map", kBitsandbytes},
     {"quant_state", kBitsandbytes},
     {"scb", kBitsandbytes},
     {"weight_format", kBitsandbytes},
     {"amax", kObserved},
     {"output_scale", kOther},
     {"scale_inv_2", kOther},
     {"scaler", kOther},
     {"scalar", kOther},
     {"scaling", kOther},
     {"scaling_factor", kOther},
     {"scales", kOther}}};

bool ends_with_part(std::string_view text, std::string_view end) {
  if (!text.ends_with(end)) return false;
  return text.size() == end.size() || text[text.size() - end.size() - 1] == '_';
}

std::string_view unknown_part(const std::string& leaf, std::string_view parent) {
  for (const Ending& ending : kUnknown) {
    if (ends_with_part(leaf, ending.text)) return ending.what;
  }
  if (leaf.find("bitsandbytes") != std::string::npos) return kBitsandbytes;
  // optimum-quanto stores the parts of a weight below it.
  const bool below_weight = parent.ends_with("weight") || parent.ends_with("bias");
  if (below_weight && (leaf == "_data" || leaf == "_shift")) return "part of a weight of optimum-quanto";
  return {};
}

}  // namespace

QuantizationName quantization_name(std::string_view name) {
  constexpr std::string_view kInverse = "_scale_inv";
  constexpr std::string_view kScale = "_scale";
  const std::size_t dot = name.rfind('.');
  const std::string_view parent = dot == std::string_view::npos ? "" : name.substr(0, dot);
  const std::string leaf = lower(dot == std::string_view::npos ? name : name.substr(dot + 1));
  if (leaf == "scaled_fp8") return {QuantizationRole::FileMark, "", ""};
  if (leaf == "comfy_quant") return {QuantizationRole::LayerMark, std::string(parent), ""};
  if (leaf == "input_scale" || leaf == "scale_input" || leaf == "activation_scale")
    return {QuantizationRole::InputScale, std::string(parent), ""};
  if (leaf == "scale_weight")
    return {QuantizationRole::WeightScale, std::string(parent) + ".weight", "scale_weight"};
  const std::string_view unknown = unknown_part(leaf, parent);
  if (!unknown.empty()) return {QuantizationRole::Unknown, "", unknown};
  for (const auto& [end, what] : {Ending{kInverse, "weight_scale_inv"}, Ending{kScale, "weight_scale"}}) {
    const std::string_view target = name.substr(0, name.size() - std::min(end.size(), name.size()));
    if (!leaf.ends_with(end)) continue;
    if (leaf.size() == end.size()) break;  // no tensor name before it
    return {QuantizationRole::WeightScale, std::string(target), what};
  }
  // scale_shift is modulation, and in networks of many families; any other name with the word may be a scale.
  const bool modulates = leaf.find("scale_shift") != std::string::npos;
  if (!modulates && leaf.find("scale") != std::string::npos) return {QuantizationRole::Unknown, "", kOther};
  return {};
}

}  // namespace ferry::checkpoint
