#include "checkpoint/quantization/quantization.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

namespace ferry::checkpoint {

std::string text_of(const Quantization& quantization) {
  std::string text;
  const auto add = [&text](std::int64_t count, const char* what) {
    if (count > 0) text += fmt::format("{}{} {}", text.empty() ? "" : ", ", count, what);
  };
  add(quantization.fp8_weights, "fp8 weights dequantised when read");
  add(quantization.int8_weights, "int8 weights dequantised when read");
  for (const auto& [spelling, count] : quantization.scales) add(count, ("scales " + spelling).c_str());
  add(quantization.input_scales, "input scales not used");
  add(quantization.unit_scales, "scales of 1 beside weights that are not quantised");
  return text;
}

std::string to_json(const Quantization& quantization) {
  const nlohmann::ordered_json json = {{"fp8_weights", quantization.fp8_weights},
                                       {"int8_weights", quantization.int8_weights},
                                       {"scales", quantization.scales},
                                       {"input_scales", quantization.input_scales},
                                       {"unit_scales", quantization.unit_scales}};
  return json.dump();
}

}  // namespace ferry::checkpoint
