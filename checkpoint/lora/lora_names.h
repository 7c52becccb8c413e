// Maps names of a LoRA file's tensors to a linear and a part of its pair (checkpoint/lora/lora.h).
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

// Suffix of a linear's weight.
inline constexpr std::string_view kWeightEnding = ".weight";

enum class LoraRole : std::uint8_t { Down, Up, Alpha };

struct LoraName {
  LoraRole role = LoraRole::Down;
  std::string module;  // name in the file, without the part's suffix
  std::string bare;    // `module` without prefixes
  bool peft = false;   // PEFT's suffix, lora_A or lora_B
  const model::ModuleSpec* linear = nullptr;
};

// "FILE: tensor NAME", for messages.
std::string place_of(const TensorEntry& entry);

class LoraNames {
 public:
  LoraNames(const model::NetworkSpec& network, Part part);

  // Throws UserError naming file and tensor: unknown suffix, or not a linear of the network.
  LoraName read(const TensorEntry& entry) const;
  // The official and the diffusers name of a linear.
  std::vector<std::string> of(const model::ModuleSpec& linear) const;

 private:
  KeyMap keys_;
  std::map<std::string, const model::ModuleSpec*> linears_;  // by official, diffusers and kohya names
};

}  // namespace ferry::checkpoint
