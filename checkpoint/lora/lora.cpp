#include "checkpoint/lora/lora.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include "base/error.h"
#include "base/float_type.h"
#include "base/text/describe.h"
#include "checkpoint/formats/safetensors.h"
#include "checkpoint/formats/stored_number.h"
#include "checkpoint/lora/lora_folder.h"
#include "checkpoint/lora/lora_names.h"
#include "checkpoint/lora/lora_scale.h"

namespace ferry::checkpoint {

namespace {

struct Parts {
  const model::ModuleSpec* linear = nullptr;
  const TensorEntry* down = nullptr;
  const TensorEntry* up = nullptr;
  const TensorEntry* alpha = nullptr;
  std::vector<std::string> names;  // names in the file
  bool peft = false;
};

void put(Parts& parts, const LoraName& name, const TensorEntry& entry) {
  const TensorEntry*& part = name.role == LoraRole::Down ? parts.down
                             : name.role == LoraRole::Up ? parts.up
                                                         : parts.alpha;
  if (part != nullptr) {
    throw UserError(
        fmt::format("{}: the same part of a linear as {}", place_of(entry), printable(part->source_key)));
  }
  if (name.role != LoraRole::Alpha && !is_unscaled_float(entry.dtype)) {
    throw UserError(
        fmt::format("{} is {}, expected fp32, bf16, fp16 or fp64", place_of(entry), name_of(entry.dtype)));
  }
  part = &entry;
  parts.linear = name.linear;
  parts.peft = parts.peft || name.peft;
  for (const std::string& each : {name.module, name.bare}) {
    if (std::find(parts.names.begin(), parts.names.end(), each) == parts.names.end())
      parts.names.push_back(each);
  }
}

double number_of(const TensorEntry& entry) {
  switch (entry.dtype) {
    case DType::I64:
      return stored_number<std::int64_t>(entry.data);
    case DType::I32:
      return stored_number<std::int32_t>(entry.data);
    case DType::I16:
      return stored_number<std::int16_t>(entry.data);
    case DType::I8:
      return stored_number<std::int8_t>(entry.data);
    case DType::U8:
      return stored_number<std::uint8_t>(entry.data);
    case DType::Bool:
      throw UserError(fmt::format("{} is {}, expected a number", place_of(entry), name_of(entry.dtype)));
    default:
      double value = 0;
      convert(&value, DType::F64, entry.data, entry.dtype, 1);
      return value;
  }
}

double alpha_of(const TensorEntry& entry) {
  if (entry.numel() != 1)
    throw UserError(fmt::format("{}: {} values, expected one finite number", place_of(entry), entry.numel()));
  const double value = number_of(entry);
  if (std::isfinite(value)) return value;
  throw UserError(fmt::format("{} is {}, expected one finite number", place_of(entry), value));
}

void check_shape(const TensorEntry& entry, const std::vector<std::int64_t>& expected) {
  if (entry.shape == expected) return;
  throw UserError(fmt::format("{} has shape {}, expected {}", place_of(entry), shape_text(entry.shape),
                              shape_text(expected)));
}

void check_pair(const Parts& parts) {
  if (parts.down == nullptr || parts.up == nullptr) {
    const TensorEntry* have = parts.down != nullptr ? parts.down
                              : parts.up != nullptr ? parts.up
                                                    : parts.alpha;
    throw UserError(fmt::format("{}: the {} of {} is missing", place_of(*have),
                                parts.down == nullptr ? "lora_A (lora_down)" : "lora_B (lora_up)",
                                parts.linear->name));
  }
  const std::vector<std::int64_t>& weight = parts.linear->tensors.at(0).shape;
  const std::int64_t rank = parts.down->shape.empty() ? 0 : parts.down->shape[0];
  check_shape(*parts.down, {std::max<std::int64_t>(rank, 1), weight.at(1)});
  check_shape(*parts.up, {weight.at(0), rank});
}

LoraLinear linear_of(const Parts& parts, const LoraNames& names) {
  LoraLinear linear{.name = parts.linear->name,
                    .names = parts.names,
                    .other_names = names.of(*parts.linear),
                    .peft = parts.peft,
                    .rank = parts.down->shape[0],
                    .alpha = {}};
  if (parts.alpha != nullptr) linear.alpha = alpha_of(*parts.alpha);
  return linear;
}

std::vector<LoraScaleGroup> groups_of(const std::vector<LoraScale>& scales) {
  std::vector<LoraScaleGroup> groups;
  for (const LoraScale& scale : scales) {
    auto group = std::find_if(groups.begin(), groups.end(),
                              [&](const LoraScaleGroup& each) { return each.from == scale.from; });
    if (group == groups.end()) group = groups.insert(group, {scale.from, 0, scale.value, scale.value});
    ++group->linears;
    group->least = std::min(group->least, scale.value);
    group->most = std::max(group->most, scale.value);
  }
  return groups;
}

}  // namespace

LoraFile LoraFile::open(const std::string& path, const model::NetworkSpec& network, Part part) {
  LoraFile lora;
  lora.path_ = lora_file(path);
  const SafetensorsFile file = SafetensorsFile::open(lora.path_);
  lora.mapping_ = file.mapping();
  const LoraNames names(network, part);
  std::map<std::string, Parts> found;
  for (const TensorEntry& entry : file.entries()) {
    const LoraName name = names.read(entry);
    put(found[name.linear->name], name, entry);
  }
  if (found.empty()) throw UserError(lora.path_ + ": no tensor in it");
  std::vector<LoraLinear> linears;
  for (const auto& [name, parts] : found) {
    check_pair(parts);
    linears.push_back(linear_of(parts, names));
  }
  LoraScales scales = lora_scales(lora.path_, file.metadata(), linears);
  std::size_t i = 0;
  for (const auto& [name, parts] : found)
    lora.pairs_[name] = {.down = *parts.down, .up = *parts.up, .scale = scales.of[i++].value};
  lora.scales_ = groups_of(scales.of);
  lora.notes_ = std::move(scales.notes);
  return lora;
}

const LoraPair* LoraFile::of_weight(const std::string& key) const {
  if (!key.ends_with(kWeightEnding)) return nullptr;
  const auto found = pairs_.find(key.substr(0, key.size() - kWeightEnding.size()));
  return found == pairs_.end() ? nullptr : &found->second;
}

}  // namespace ferry::checkpoint
