#include "offload/sequential/module_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <sstream>
#include <utility>

#include "base/error.h"
#include "base/text/shown.h"

namespace ferry::offload {

namespace {

using model::ModuleKind;

constexpr std::array<std::pair<std::string_view, ModuleKind>, 6> kKinds = {{
    {"linear", ModuleKind::Linear},
    {"layernorm", ModuleKind::LayerNorm},
    {"rmsnorm", ModuleKind::RmsNorm},
    {"conv", ModuleKind::Conv},
    {"embedding", ModuleKind::Embedding},
    {"parameter", ModuleKind::Parameter},
}};
constexpr std::string_view kAllKinds = "linear, layernorm, rmsnorm, conv, embedding, parameter, module";
constexpr std::array kStoredTypes = {DType::F32, DType::BF16, DType::F16, DType::F8E4M3};

std::string quoted(const std::string& word) { return fmt::format("\"{}\"", shown(word)); }

DType parse_dtype(const std::string& word, const std::string& where) {
  for (const DType dtype : kStoredTypes) {
    if (word == name_of(dtype)) return dtype;
  }
  throw UserError(where + ": " + quoted(word) + " is none of fp32, bf16, fp16, fp8");
}

Place parse_place(const std::string& word, const std::string& where) {
  if (word == "cpu") return Place::Host;
  if (word == "cuda") return Place::Device;
  throw UserError(where + ": " + quoted(word) + " is neither cpu nor cuda (the stage's device)");
}

StateConfig* state_of(ModuleConfig& config, std::string_view key) {
  if (key.starts_with("offload_")) return &config.offload;
  if (key.starts_with("onload_")) return &config.onload;
  if (key.starts_with("computation_")) return &config.computation;
  return nullptr;
}

Wrapper default_wrapper(ModuleKind kind) {
  if (kind == ModuleKind::Linear) return Wrapper::AutoWrappedLinear;
  if (kind == ModuleKind::LayerNorm) return Wrapper::WanAutoCastLayerNorm;
  return Wrapper::AutoWrappedModule;
}

Wrapper parse_wrapper(const std::string& word, const std::string& option) {
  for (const Wrapper wrapper :
       {Wrapper::AutoWrappedModule, Wrapper::AutoWrappedLinear, Wrapper::WanAutoCastLayerNorm}) {
    if (word == name_of(wrapper)) return wrapper;
  }
  throw UserError(option + ": " + quoted(word) +
                  " is none of AutoWrappedModule, AutoWrappedLinear, WanAutoCastLayerNorm");
}

std::string without_spaces(std::string text) {
  std::erase_if(text, [](unsigned char c) { return std::isspace(c) != 0; });
  return text;
}

void add_entry(ModuleMap& map, const std::string& entry, const std::string& option) {
  const std::size_t equals = entry.find('=');
  const std::string kind = entry.substr(0, equals);
  const std::string wrapper = equals == std::string::npos ? "" : entry.substr(equals + 1);
  bool known = false;
  for (const auto& [name, value] : kKinds) {
    if (kind != name && kind != "module") continue;
    known = true;
    const Wrapper chosen = wrapper.empty() ? default_wrapper(value) : parse_wrapper(wrapper, option);
    if (chosen != Wrapper::AutoWrappedModule && chosen != default_wrapper(value)) {
      throw UserError(fmt::format("{}: {} cannot be wrapped by {}; AutoWrappedModule takes any module",
                                  option, name, wrapper));
    }
    map[value] = chosen;
  }
  if (!known) {
    throw UserError(option + ": " + quoted(kind) + " is none of " + std::string(kAllKinds));
  }
}

}  // namespace

std::string_view name_of(Wrapper wrapper) {
  static constexpr std::array<std::string_view, 4> kNames = {"none", "AutoWrappedModule", "AutoWrappedLinear",
                                                             "WanAutoCastLayerNorm"};
  return kNames[static_cast<std::size_t>(wrapper)];
}

std::string_view name_of(model::ModuleKind kind) {
  for (const auto& [name, value] : kKinds) {
    if (value == kind) return name;
  }
  return "";
}

ModuleConfig parse_module_config(const std::map<std::string, std::string>& keys, const std::string& option) {
  ModuleConfig config;
  for (const auto& [key, word] : keys) {
    StateConfig* state = state_of(config, key);
    if (state != nullptr && (key.ends_with("load_dtype") || key == "computation_dtype")) {
      state->dtype = parse_dtype(word, fmt::format("{}.{}", option, key));
    } else if (state != nullptr && key.ends_with("_device")) {
      state->place = parse_place(word, fmt::format("{}.{}", option, key));
    } else {
      throw UserError(option + ": unknown key " + quoted(key) +
                      "; the keys are offload_dtype, offload_device, onload_dtype, onload_device, "
                      "computation_dtype, computation_device");
    }
  }
  if (config.computation.place == Place::Host) {
    throw UserError(option + ".computation_device: cpu; modules compute on the stage's device (cuda)");
  }
  return config;
}

ModuleMap parse_module_map(const std::string& text, const std::string& option) {
  const std::string entries = without_spaces(text.empty() ? "module" : text);
  ModuleMap map;
  std::istringstream in(entries);
  for (std::string entry; std::getline(in, entry, ',');) add_entry(map, entry, option);
  return map;
}

}  // namespace ferry::offload
