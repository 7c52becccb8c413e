#include "checkpoint/lora/lora.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include "base/error.h"
#include "base/text/describe.h"
#include "checkpoint/formats/safetensors.h"
#include "checkpoint/formats/stored_number.h"
#include "checkpoint/lora/lora_folder.h"
#include "checkpoint/lora/lora_scale.h"

namespace ferry::checkpoint {

namespace {

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

LoraLinear linear_of(const PairParts& parts, const LoraNames& names) {
  LoraLinear linear{.name = parts.module->name,
                    .names = parts.names,
                    .other_names = names.of(*parts.module),
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

LoraPair made_pair(const PairParts& parts, double scale) {
  const std::int64_t rank = parts.down->shape[0];
  const std::vector<std::int64_t> weight = matrix_shape(parts.module->tensors.at(0));
  return {.down = reshaped(*parts.down, {rank, weight[1]}),
          .up = reshaped(*parts.up, {weight[0], rank}),
          .scale = scale,
          .linear = parts.module->kind == model::ModuleKind::Linear};
}

void refuse_empty(const SortedParts& parts, const std::string& path) {
  if (!parts.pairs.empty() || !parts.differences.empty()) return;
  if (parts.left_out.empty()) throw UserError(path + ": no tensor in it");
  throw UserError(fmt::format("{}: none of its {} tensors belongs to this model; the first is {}", path,
                              parts.left_out.size(), printable(parts.left_out.front())));
}

}  // namespace

LoraFile LoraFile::open(const std::string& path, const model::NetworkSpec& network, Part part,
                        Unmatched unmatched) {
  LoraFile lora;
  lora.path_ = lora_file(path);
  const SafetensorsFile file = SafetensorsFile::open(lora.path_);
  lora.mapping_ = file.mapping();
  const LoraNames names(network, part);
  SortedParts parts = sort_parts(file.entries(), names, unmatched);
  refuse_empty(parts, lora.path_);
  lora.take_pairs(parts, file.metadata(), names);
  for (const auto& [key, each] : parts.differences)
    lora.differences_[key] = reshaped(*each.entry, each.changed->shape);
  lora.left_out_ = std::move(parts.left_out);
  return lora;
}

void LoraFile::take_pairs(const SortedParts& parts, const std::map<std::string, std::string>& metadata,
                          const LoraNames& names) {
  std::vector<LoraLinear> linears;
  for (const auto& [name, each] : parts.pairs) linears.push_back(linear_of(each, names));
  LoraScales scales = lora_scales(path_, metadata, linears);
  std::size_t i = 0;
  for (const auto& [name, each] : parts.pairs) pairs_[name] = made_pair(each, scales.of[i++].value);
  scales_ = groups_of(scales.of);
  notes_ = std::move(scales.notes);
}

const LoraPair* LoraFile::pair_of(const std::string& key) const {
  if (!key.ends_with(kWeightEnding)) return nullptr;
  const auto found = pairs_.find(key.substr(0, key.size() - kWeightEnding.size()));
  return found == pairs_.end() ? nullptr : &found->second;
}

const TensorEntry* LoraFile::difference_of(const std::string& key) const {
  const auto found = differences_.find(key);
  return found == differences_.end() ? nullptr : &found->second;
}

}  // namespace ferry::checkpoint
