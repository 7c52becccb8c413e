#include "model/checkpoint/lora.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "model/checkpoint/describe.h"
#include "model/checkpoint/keys.h"
#include "model/checkpoint/safetensors.h"

namespace ferry::model {

namespace {

enum class Role : std::uint8_t { Down, Up, Alpha };

struct Ending {
  std::string_view text;
  Role role;
};
constexpr std::array<Ending, 9> kEndings = {{{".lora_A.weight", Role::Down},
                                             {".lora_A.default.weight", Role::Down},
                                             {".lora_down.weight", Role::Down},
                                             {".lora.down.weight", Role::Down},
                                             {".lora_B.weight", Role::Up},
                                             {".lora_B.default.weight", Role::Up},
                                             {".lora_up.weight", Role::Up},
                                             {".lora.up.weight", Role::Up},
                                             {".alpha", Role::Alpha}}};
constexpr std::string_view kPeftPrefix = "base_model.model.";
constexpr std::string_view kKohyaPrefix = "lora_unet_";
constexpr std::string_view kWeight = ".weight";

struct Parts {
  const TensorEntry* down = nullptr;
  const TensorEntry* up = nullptr;
  const TensorEntry* alpha = nullptr;
};

std::string underscored(std::string name) {
  std::replace(name.begin(), name.end(), '.', '_');
  return name;
}

using Linears = std::map<std::string, const ModuleSpec*>;

// Every linear under its official, diffusers and kohya names.
Linears linears_by_name(const NetworkSpec& network, Part part) {
  const KeyMap keys(part);
  Linears linears;
  const auto add = [&](const std::vector<ModuleSpec>& modules) {
    for (const ModuleSpec& module : modules) {
      if (module.kind != ModuleKind::Linear) continue;
      std::vector<std::string> names = {module.name};
      if (const auto other = keys.to_diffusers(module.name + std::string(kWeight))) {
        names.push_back(other->substr(0, other->size() - kWeight.size()));
      }
      for (const std::string& name : names) {
        linears[name] = &module;
        linears[std::string(kKohyaPrefix) + underscored(name)] = &module;
      }
    }
  };
  add(network.head);
  for (const BlockSpec& block : network.blocks) add(block.modules);
  add(network.tail);
  return linears;
}

std::string place_of(const TensorEntry& entry) {
  return fmt::format("{}: tensor {}", entry.file, printable(entry.source_key));
}

bool is_float(DType dtype) {
  return dtype == DType::F64 || dtype == DType::F32 || dtype == DType::F16 || dtype == DType::BF16;
}

const Ending& ending_of(const TensorEntry& entry) {
  for (const Ending& ending : kEndings) {
    if (entry.source_key.ends_with(ending.text)) return ending;
  }
  throw UserError(place_of(entry) +
                  ": not a part of a LoRA; lora_A and lora_B, or lora_down and lora_up, and alpha are known");
}

const ModuleSpec& linear_of(const TensorEntry& entry, const Ending& ending, const Linears& linears) {
  std::string_view name = entry.source_key;
  name.remove_suffix(ending.text.size());
  if (name.starts_with(kPeftPrefix)) name.remove_prefix(kPeftPrefix.size());
  const auto found = linears.find(without_prefix(name));
  if (found != linears.end()) return *found->second;
  throw UserError(fmt::format("{}: {} is no linear of this model", place_of(entry), printable(name)));
}

void put(Parts& parts, Role role, const TensorEntry& entry) {
  const TensorEntry*& part = role == Role::Down ? parts.down : role == Role::Up ? parts.up : parts.alpha;
  if (part != nullptr) {
    throw UserError(
        fmt::format("{}: the same part of a linear as {}", place_of(entry), printable(part->source_key)));
  }
  if (!is_float(entry.dtype)) {
    throw UserError(
        fmt::format("{} is {}, expected fp32, bf16, fp16 or fp64", place_of(entry), name_of(entry.dtype)));
  }
  part = &entry;
}

double alpha_of(const TensorEntry& entry) {
  double value = 0;
  if (entry.numel() == 1) convert(&value, DType::F64, entry.data, entry.dtype, 1);
  if (entry.numel() != 1 || !std::isfinite(value)) {
    throw UserError(fmt::format("{}: {} values, expected one finite number", place_of(entry), entry.numel()));
  }
  return value;
}

void check_shape(const TensorEntry& entry, const std::vector<std::int64_t>& expected) {
  if (entry.shape == expected) return;
  throw UserError(fmt::format("{} has shape {}, expected {}", place_of(entry), shape_text(entry.shape),
                              shape_text(expected)));
}

LoraPair pair_of(const Parts& parts, const ModuleSpec& module) {
  if (parts.down == nullptr || parts.up == nullptr) {
    const TensorEntry* have = parts.down != nullptr ? parts.down
                              : parts.up != nullptr ? parts.up
                                                    : parts.alpha;
    throw UserError(fmt::format("{}: the {} of {} is missing", place_of(*have),
                                parts.down == nullptr ? "lora_A (lora_down)" : "lora_B (lora_up)",
                                module.name));
  }
  const std::vector<std::int64_t>& weight = module.tensors.at(0).shape;
  const std::int64_t rank = parts.down->shape.empty() ? 0 : parts.down->shape[0];
  check_shape(*parts.down, {std::max<std::int64_t>(rank, 1), weight.at(1)});
  check_shape(*parts.up, {weight.at(0), rank});
  const double alpha = parts.alpha == nullptr ? static_cast<double>(rank) : alpha_of(*parts.alpha);
  return {.down = *parts.down, .up = *parts.up, .scale = alpha / static_cast<double>(rank)};
}

}  // namespace

LoraFile LoraFile::open(const std::string& path, const NetworkSpec& network, Part part) {
  const SafetensorsFile file = SafetensorsFile::open(path);
  const Linears linears = linears_by_name(network, part);
  std::map<std::string, std::pair<const ModuleSpec*, Parts>> found;
  for (const TensorEntry& entry : file.entries()) {
    const Ending& ending = ending_of(entry);
    const ModuleSpec& module = linear_of(entry, ending, linears);
    auto& [spec, parts] = found[module.name];
    spec = &module;
    put(parts, ending.role, entry);
  }
  if (found.empty()) throw UserError(path + ": no tensor in it");
  LoraFile lora;
  lora.path_ = path;
  lora.mapping_ = file.mapping();
  for (const auto& [name, each] : found) lora.pairs_[name] = pair_of(each.second, *each.first);
  return lora;
}

const LoraPair* LoraFile::of_weight(const std::string& key) const {
  if (!key.ends_with(kWeight)) return nullptr;
  const auto found = pairs_.find(key.substr(0, key.size() - kWeight.size()));
  return found == pairs_.end() ? nullptr : &found->second;
}

}  // namespace ferry::model
