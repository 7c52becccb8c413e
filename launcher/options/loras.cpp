#include "launcher/options/loras.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>

#include "base/error.h"
#include "base/text/shown.h"
#include "launcher/options/value.h"

namespace ferry::launcher {
namespace {

using Json = nlohmann::json;
using worker::LoraChoice;

std::string path_in(const Json& value) {
  const std::string path = value.is_string() ? value.get<std::string>() : "";
  if (!value.is_string() || path.find('\0') != std::string::npos)
    throw UserError(fmt::format("lora: path: {} is no path", shown(value.dump())));
  return to_path("lora: path", path);
}

double strength_in(const Json& value) {
  return to_number("lora: strength", value.is_string() ? value.get<std::string>() : value.dump(),
                   -kMostStrength, kMostStrength);
}

LoraChoice choice_of(const Json& object) {
  LoraChoice choice;
  for (const auto& [key, value] : object.items()) {
    if (key == "path") {
      choice.path = path_in(value);
    } else if (key == "strength") {
      choice.strength = strength_in(value);
    } else {
      throw UserError(fmt::format("lora: unknown key '{}'; accepted: path, strength", shown(key)));
    }
  }
  if (choice.path.empty()) throw UserError(fmt::format("lora: {} has no path", shown(object.dump())));
  return choice;
}

}  // namespace

std::vector<LoraChoice> loras_of(const worker::LoraOptions& options) {
  const std::size_t count = options.paths.size();
  const std::size_t strengths = options.strengths.size();
  if (count > 0 && strengths > 1 && strengths != count) {
    throw UserError(
        fmt::format("lora.strength: {} values for {} LoRA{}; accepted: one for all, or one each, in order",
                    strengths, count, count == 1 ? "" : "s"));
  }
  std::vector<LoraChoice> loras;
  for (std::size_t i = 0; i < count; ++i) {
    LoraChoice& lora = loras.emplace_back();
    lora.path = options.paths[i];
    if (strengths > 0) lora.strength = options.strengths[strengths == 1 ? 0 : i];
  }
  return loras;
}

std::vector<LoraChoice> loras_of(const Json& list) {
  const auto is_object = [](const Json& each) { return each.is_object(); };
  if (!list.is_array() || !std::all_of(list.begin(), list.end(), is_object)) {
    throw UserError(
        fmt::format("lora: {} is no list of LoRAs, as in [{{\"path\": \"FILE\", \"strength\": 1}}]; [] "
                    "is none",
                    shown(list.dump())));
  }
  std::vector<LoraChoice> loras;
  for (const Json& each : list) loras.push_back(choice_of(each));
  return loras;
}

}  // namespace ferry::launcher
