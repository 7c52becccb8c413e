#include "model/checkpoint/unexpected.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "base/error.h"
#include "model/checkpoint/config_members.h"
#include "model/checkpoint/describe.h"
#include "model/checkpoint/keys.h"

namespace ferry::model {

namespace {

// Beginnings of names, in either layout, of what a part is published with and Ferry has no use for.
constexpr auto kVaeEncoder = std::to_array<std::string_view>({"encoder.", "conv1.", "quant_conv."});
constexpr auto kUmt5Decoder = std::to_array<std::string_view>(
    {"decoder.", "lm_head.", "shared.", "encoder.embed_tokens.", "spiece_model"});

bool is_left_out_quietly(Part part, const std::string& source_key) {
  const std::string name = without_prefix(source_key);
  const auto begins = [&](std::string_view start) { return name.starts_with(start); };
  if (part == Part::Vae) return std::any_of(kVaeEncoder.begin(), kVaeEncoder.end(), begins);
  if (part == Part::TextEncoder) return std::any_of(kUmt5Decoder.begin(), kUmt5Decoder.end(), begins);
  return false;
}

bool is_counter(const TensorEntry& entry) {
  const bool whole = entry.dtype == DType::I64 || entry.dtype == DType::I32 || entry.dtype == DType::I16 ||
                     entry.dtype == DType::Bool;
  return entry.shape.empty() && whole;
}

std::string listed(const std::vector<std::string>& names) {
  constexpr std::size_t kListed = 3;
  std::vector<std::string> first;
  for (std::size_t i = 0; i < std::min(kListed, names.size()); ++i) first.push_back(printable(names[i]));
  const std::string more =
      names.size() > kListed ? fmt::format(" and {} more", names.size() - kListed) : std::string();
  return fmt::format("{}{}", fmt::join(first, ", "), more);
}

std::string counted(const std::vector<std::string>& names, const char* what, const char* rest = "") {
  return fmt::format("{} {}{}{} ({})", names.size(), what, names.size() == 1 ? "" : "s", rest, listed(names));
}

}  // namespace

Unexpected find_unexpected(const Checkpoint& checkpoint, const std::unordered_set<std::string>& known) {
  Unexpected found;
  for (const TensorEntry& entry : checkpoint.entries()) {
    if (entry.companion || known.contains(entry.key) ||
        is_left_out_quietly(checkpoint.part(), entry.source_key))
      continue;
    (is_counter(entry) ? found.counters : found.tensors).push_back(entry.source_key);
  }
  for (const std::string& name : checkpoint.unindexed()) {
    if (!is_left_out_quietly(checkpoint.part(), name)) found.tensors.push_back(name);
  }
  const ConfigFile config(checkpoint.config_file());
  found.members = unknown_members(config, checkpoint.part());
  return found;
}

std::unordered_set<std::string> keys_of(const NetworkSpec& spec) {
  std::unordered_set<std::string> keys;
  const auto add = [&](const std::vector<ModuleSpec>& modules) {
    for (const ModuleSpec& module : modules) {
      for (const TensorSpec& tensor : module.tensors) keys.insert(tensor.key);
    }
  };
  add(spec.head);
  for (const BlockSpec& block : spec.blocks) add(block.modules);
  add(spec.tail);
  return keys;
}

std::string to_text(const Unexpected& unexpected) {
  std::vector<std::string> parts;
  if (!unexpected.tensors.empty()) parts.push_back(counted(unexpected.tensors, "tensor"));
  if (!unexpected.members.empty()) parts.push_back(counted(unexpected.members, "setting", " of config.json"));
  return fmt::format("{}", fmt::join(parts, " and "));
}

void refuse_unexpected(const Checkpoint& checkpoint, const Unexpected& unexpected) {
  if (unexpected.empty()) return;
  throw UserError(
      fmt::format("{}: this {} has {} that Wan2.1's text-to-video has not, so it may be another network; "
                  "--model.unexpected skip leaves that out",
                  checkpoint.files().front(), name_of(checkpoint.part()), to_text(unexpected)));
}

}  // namespace ferry::model
