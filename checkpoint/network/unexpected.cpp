#include "checkpoint/network/unexpected.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <unordered_map>

#include "base/error.h"
#include "base/text/describe.h"
#include "checkpoint/names/keys.h"
#include "checkpoint/network/config_members.h"

namespace ferry::checkpoint {

namespace {

// Prefixes, in either layout, of tensors published with a part that Ferry does not use.
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

// The network's 8-bit weights, by their module's name in the file without foreign prefixes.
class Narrow {
 public:
  Narrow(const Checkpoint& checkpoint, const std::unordered_set<std::string>& known) {
    constexpr std::string_view kWeight = ".weight";
    for (const TensorEntry& entry : checkpoint.entries()) {
      const bool narrow = entry.dtype == DType::F8E4M3 || entry.dtype == DType::I8;
      if (!narrow || !known.contains(entry.key) || !entry.source_key.ends_with(kWeight)) continue;
      std::string module(without_prefix(entry.source_key));
      module.resize(module.size() - kWeight.size());
      weights_.emplace(std::move(module), &entry);
    }
  }
  // The weight in the innermost module around a tensor, or nullptr.
  const TensorEntry* beside(const std::string& source_key) const {
    std::string module(without_prefix(source_key));
    for (std::size_t dot = module.rfind('.'); dot != std::string::npos; dot = module.rfind('.')) {
      module.resize(dot);
      const auto found = weights_.find(module);
      if (found != weights_.end()) return found->second;
    }
    return nullptr;
  }

 private:
  std::unordered_map<std::string, const TensorEntry*> weights_;
};

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
  const Narrow narrow(checkpoint, known);
  const auto add = [&](const std::string& name, bool counter) {
    const TensorEntry* weight = narrow.beside(name);
    (counter && weight == nullptr ? found.counters : found.tensors).push_back(name);
    if (weight == nullptr || weight->scale != nullptr || !found.beside_8_bits.empty()) return;
    found.beside_8_bits = fmt::format("{} beside {}, which is {}", printable(name),
                                      printable(weight->source_key), name_of(weight->dtype));
  };
  for (const TensorEntry& entry : checkpoint.entries()) {
    if (entry.companion || known.contains(entry.key) ||
        is_left_out_quietly(checkpoint.part(), entry.source_key))
      continue;
    add(entry.source_key, is_counter(entry));
  }
  for (const std::string& name : checkpoint.unindexed()) {
    if (!is_left_out_quietly(checkpoint.part(), name)) add(name, false);
  }
  const ConfigFile config(checkpoint.config_file());
  found.members = unknown_members(config, checkpoint.part());
  return found;
}

std::unordered_set<std::string> keys_of(const model::NetworkSpec& spec) {
  std::unordered_set<std::string> keys;
  const auto add = [&](const std::vector<model::ModuleSpec>& modules) {
    for (const model::ModuleSpec& module : modules) {
      for (const model::TensorSpec& tensor : module.tensors) keys.insert(tensor.key);
    }
  };
  add(spec.head);
  for (const model::BlockSpec& block : spec.blocks) add(block.modules);
  add(spec.tail);
  return keys;
}

std::string to_text(const Unexpected& unexpected) {
  std::vector<std::string> parts;
  if (!unexpected.tensors.empty()) parts.push_back(counted(unexpected.tensors, "tensor"));
  if (!unexpected.members.empty()) parts.push_back(counted(unexpected.members, "setting", " of config.json"));
  return fmt::format("{}", fmt::join(parts, " and "));
}

void refuse_beside_8_bits(const Checkpoint& checkpoint, const Unexpected& unexpected) {
  if (unexpected.beside_8_bits.empty()) return;
  throw UserError(
      fmt::format("{}: tensor {} without a scale: it may be the scale under a name that is not known",
                  checkpoint.files().front(), unexpected.beside_8_bits));
}

void refuse_unexpected(const Checkpoint& checkpoint, const Unexpected& unexpected) {
  if (unexpected.empty()) return;
  throw UserError(
      fmt::format("{}: this {} has {} that Wan2.1's text-to-video has not, so it may be another network; "
                  "--model.unexpected skip leaves that out",
                  checkpoint.files().front(), name_of(checkpoint.part()), to_text(unexpected)));
}

}  // namespace ferry::checkpoint
