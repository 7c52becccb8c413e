// Maps names of a LoRA file's tensors to what they change in a network (checkpoint/lora/lora.h).
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "checkpoint/names/keys.h"
#include "model/weights.h"

namespace ferry::checkpoint {

// Suffix of a module's weight.
inline constexpr std::string_view kWeightEnding = ".weight";

enum class LoraRole : std::uint8_t { Down, Up, Alpha, Difference };

struct LoraName {
  LoraRole role = LoraRole::Down;
  std::string module;                          // name in the file, without the part's suffix
  std::string bare;                            // `module` without prefixes
  std::string adapter;                         // PEFT's name of it, "default"; or empty
  bool peft = false;                           // PEFT's suffix, lora_A or lora_B
  const model::ModuleSpec* target = nullptr;   // nullptr: nothing of the network
  const model::TensorSpec* changed = nullptr;  // of a difference
  std::string reason;                          // why there is no target
};

// "FILE: tensor NAME", for messages.
std::string place_of(const TensorEntry& entry);

class LoraNames {
 public:
  // `network` must outlive it.
  LoraNames(const model::NetworkSpec& network, Part part);

  // Throws UserError naming file, tensor and kind, for a part of another kind of adapter: DoRA, LoHa, LoKr.
  LoraName read(const TensorEntry& entry) const;
  // The official and the diffusers name of a module.
  std::vector<std::string> of(const model::ModuleSpec& module) const;

 private:
  const model::ModuleSpec* find(std::string_view name) const;
  void find_target(LoraName& name, std::string_view ending) const;

  KeyMap keys_;
  std::map<std::string, const model::ModuleSpec*, std::less<>> modules_;  // by official and diffusers names
  std::map<std::string, const model::ModuleSpec*, std::less<>> underscored_;  // the same with '_' for '.'
};

}  // namespace ferry::checkpoint
