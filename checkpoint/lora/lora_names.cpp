#include "checkpoint/lora/lora_names.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/error.h"
#include "base/text/describe.h"

namespace ferry::checkpoint {

namespace {

struct Ending {
  std::string_view text;
  LoraRole role;
};
constexpr std::array<Ending, 9> kEndings = {{{".lora_A.weight", LoraRole::Down},
                                             {".lora_A.default.weight", LoraRole::Down},
                                             {".lora_down.weight", LoraRole::Down},
                                             {".lora.down.weight", LoraRole::Down},
                                             {".lora_B.weight", LoraRole::Up},
                                             {".lora_B.default.weight", LoraRole::Up},
                                             {".lora_up.weight", LoraRole::Up},
                                             {".lora.up.weight", LoraRole::Up},
                                             {".alpha", LoraRole::Alpha}}};
constexpr std::string_view kPeftPrefix = "base_model.model.";
constexpr std::string_view kKohyaPrefix = "lora_unet_";

std::string underscored(std::string name) {
  std::replace(name.begin(), name.end(), '.', '_');
  return name;
}

const Ending& ending_of(const TensorEntry& entry) {
  for (const Ending& ending : kEndings) {
    if (entry.source_key.ends_with(ending.text)) return ending;
  }
  throw UserError(place_of(entry) +
                  ": not a part of a LoRA; lora_A and lora_B, or lora_down and lora_up, and alpha are known");
}

}  // namespace

std::string place_of(const TensorEntry& entry) {
  return fmt::format("{}: tensor {}", entry.file, printable(entry.source_key));
}

LoraNames::LoraNames(const model::NetworkSpec& network, Part part) : keys_(part) {
  const auto add = [&](const std::vector<model::ModuleSpec>& modules) {
    for (const model::ModuleSpec& module : modules) {
      if (module.kind != model::ModuleKind::Linear) continue;
      for (const std::string& name : of(module)) {
        linears_[name] = &module;
        linears_[std::string(kKohyaPrefix) + underscored(name)] = &module;
      }
    }
  };
  add(network.head);
  for (const model::BlockSpec& block : network.blocks) add(block.modules);
  add(network.tail);
}

std::vector<std::string> LoraNames::of(const model::ModuleSpec& linear) const {
  std::vector<std::string> names = {linear.name};
  if (const auto other = keys_.to_diffusers(linear.name + std::string(kWeightEnding)))
    names.push_back(other->substr(0, other->size() - kWeightEnding.size()));
  return names;
}

LoraName LoraNames::read(const TensorEntry& entry) const {
  const Ending& ending = ending_of(entry);
  LoraName name{.role = ending.role,
                .module = entry.source_key,
                .bare = "",
                .peft = ending.text.starts_with(".lora_A") || ending.text.starts_with(".lora_B"),
                .linear = nullptr};
  name.module.resize(name.module.size() - ending.text.size());
  std::string_view rest = name.module;
  if (rest.starts_with(kPeftPrefix)) rest.remove_prefix(kPeftPrefix.size());
  name.bare = without_prefix(rest);
  const auto found = linears_.find(name.bare);
  if (found == linears_.end())
    throw UserError(fmt::format("{}: {} is no linear of this model", place_of(entry), printable(rest)));
  name.linear = found->second;
  return name;
}

}  // namespace ferry::checkpoint
