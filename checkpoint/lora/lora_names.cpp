#include "checkpoint/lora/lora_names.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>

#include "base/error.h"
#include "base/text/describe.h"

namespace ferry::checkpoint {

namespace {

struct Ending {
  std::string_view text;
  LoraRole role;
};
constexpr auto kEndings = std::to_array<Ending>({{".lora_down.weight", LoraRole::Down},
                                                 {".lora.down.weight", LoraRole::Down},
                                                 {".lora_up.weight", LoraRole::Up},
                                                 {".lora.up.weight", LoraRole::Up},
                                                 {".alpha", LoraRole::Alpha},
                                                 {".diff", LoraRole::Difference},
                                                 {".diff_b", LoraRole::Difference},
                                                 {".diff_m", LoraRole::Difference}});
// PEFT may put the adapter's name before ".weight".
constexpr auto kPeft = std::to_array<Ending>({{".lora_A.", LoraRole::Down}, {".lora_B.", LoraRole::Up}});

struct OtherKind {
  std::string_view part;
  const char* name;
};
constexpr auto kOtherKinds = std::to_array<OtherKind>({{".dora_scale", "DoRA"},
                                                       {".lora_magnitude_vector", "DoRA"},
                                                       {".hada_", "LoHa"},
                                                       {".lokr_", "LoKr"},
                                                       {".oft_", "OFT"},
                                                       {".boft_", "BOFT"},
                                                       {".lora_mid.", "LoCon in Tucker form"}});

// Of diffusers' and DiffSynth's pipelines and PEFT; those of checkpoints are in without_prefix().
constexpr auto kPrefixes = std::to_array<std::string_view>({"base_model.model.", "pipe.dit."});
// Of names with '_' for '.': kohya and musubi-tuner, VideoX-Fun, OneTrainer, LyCORIS.
constexpr auto kUnderscored =
    std::to_array<std::string_view>({"lora_unet__", "lora_unet_", "lora_transformer_", "lycoris_"});

std::string underscored(std::string name) {
  std::replace(name.begin(), name.end(), '.', '_');
  return name;
}

void refuse_other_kinds(const TensorEntry& entry) {
  for (const OtherKind& kind : kOtherKinds) {
    if (entry.source_key.find(kind.part) == std::string::npos) continue;
    throw UserError(
        fmt::format("{}: a part of {}, which is not supported; what adds B A, or whole differences, is",
                    place_of(entry), kind.name));
  }
}

// Splits "X.lora_A.NAME.weight".
std::optional<LoraName> peft_name(std::string_view key) {
  if (!key.ends_with(kWeightEnding)) return {};
  const std::string_view start = key.substr(0, key.size() - kWeightEnding.size() + 1);  // with its last dot
  for (const Ending& part : kPeft) {
    const std::size_t at = start.rfind(part.text);
    if (at == std::string_view::npos) continue;
    std::string_view adapter = start.substr(at + part.text.size());
    if (!adapter.empty()) adapter.remove_suffix(1);
    if (adapter.find('.') != std::string_view::npos) continue;
    LoraName name;
    name.role = part.role;
    name.module = key.substr(0, at);
    name.adapter = adapter;
    name.peft = true;
    return name;
  }
  return {};
}

std::string_view without_pipeline_prefix(std::string_view name) {
  for (const std::string_view prefix : kPrefixes) {
    if (name.starts_with(prefix)) name.remove_prefix(prefix.size());
  }
  return name;
}

// The tensor of `module` that a difference with this ending is added to, or nullptr.
const model::TensorSpec* changed_by(std::string_view ending, const model::ModuleSpec& module) {
  const std::string name = ending == ".diff_b"                           ? module.name + ".bias"
                           : module.kind == model::ModuleKind::Parameter ? module.name
                           : ending == ".diff"                           ? module.name + ".weight"
                                                                         : "";
  const auto found = std::find_if(module.tensors.begin(), module.tensors.end(),
                                  [&](const model::TensorSpec& tensor) { return tensor.key == name; });
  return found == module.tensors.end() ? nullptr : &*found;
}

bool takes_pairs(const model::ModuleSpec& module) {
  return module.kind == model::ModuleKind::Linear || module.kind == model::ModuleKind::Conv;
}

}  // namespace

std::string place_of(const TensorEntry& entry) {
  return fmt::format("{}: tensor {}", entry.file, printable(entry.source_key));
}

LoraNames::LoraNames(const model::NetworkSpec& network, Part part) : keys_(part) {
  const auto add = [&](const std::vector<model::ModuleSpec>& modules) {
    for (const model::ModuleSpec& module : modules) {
      for (const std::string& name : of(module)) {
        modules_[name] = &module;
        underscored_[underscored(name)] = &module;
      }
    }
  };
  add(network.head);
  for (const model::BlockSpec& block : network.blocks) add(block.modules);
  add(network.tail);
}

std::vector<std::string> LoraNames::of(const model::ModuleSpec& module) const {
  std::vector<std::string> names = {module.name};
  if (auto other = keys_.to_diffusers(module.tensors.at(0).key)) {
    if (other->ends_with(kWeightEnding)) other->resize(other->size() - kWeightEnding.size());
    names.push_back(*std::move(other));
  }
  return names;
}

const model::ModuleSpec* LoraNames::find(std::string_view name) const {
  for (const std::string_view prefix : kUnderscored) {
    if (!name.starts_with(prefix)) continue;
    const auto found = underscored_.find(name.substr(prefix.size()));
    return found == underscored_.end() ? nullptr : found->second;
  }
  const auto found = modules_.find(name);
  return found == modules_.end() ? nullptr : found->second;
}

void LoraNames::find_target(LoraName& name, std::string_view ending) const {
  const model::ModuleSpec* module = find(name.bare);
  if (name.role != LoraRole::Difference) {
    if (module != nullptr && takes_pairs(*module)) name.target = module;
    if (name.target == nullptr) name.reason = printable(name.bare) + " is no linear of this model";
    return;
  }
  // LightX2V writes "blocks.0.diff_m" for blocks.0.modulation.
  if (module == nullptr && ending == ".diff_m") {
    const char joint = name.bare.find('.') == std::string::npos && name.bare != "head" ? '_' : '.';
    module = find(fmt::format("{}{}modulation", name.bare, joint));
  }
  if (module != nullptr) name.changed = changed_by(ending, *module);
  if (name.changed != nullptr) {
    name.target = module;
  } else {
    name.reason = fmt::format("{} is no {} of this model", printable(name.bare),
                              ending == ".diff_b" ? "module with a bias" : "weight");
  }
}

LoraName LoraNames::read(const TensorEntry& entry) const {
  refuse_other_kinds(entry);
  const std::string& key = entry.source_key;
  std::optional<LoraName> name = peft_name(key);
  std::string_view text;
  if (!name) {
    const auto* ending = std::find_if(kEndings.begin(), kEndings.end(),
                                      [&](const Ending& each) { return key.ends_with(each.text); });
    name.emplace();
    if (ending == kEndings.end()) {
      name->module = key;
      name->reason =
          "not a part of a LoRA; lora_A and lora_B, or lora_down and lora_up, alpha, diff, diff_b and diff_m "
          "are known";
      return *std::move(name);
    }
    text = ending->text;
    name->role = ending->role;
    name->module = key.substr(0, key.size() - text.size());
  }
  name->bare = without_prefix(without_pipeline_prefix(name->module));
  find_target(*name, text);
  return *std::move(name);
}

}  // namespace ferry::checkpoint
