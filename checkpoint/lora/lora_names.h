// The names of a LoRA file's tensors: which linear and which part of its pair (checkpoint/lora/lora.h).
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

// Of the name of a linear's weight, after the linear's own.
inline constexpr std::string_view kWeightEnding = ".weight";

enum class LoraRole : std::uint8_t { Down, Up, Alpha };

struct LoraName {
  LoraRole role = LoraRole::Down;
  std::string module;  // as in the file, without the part's ending
  std::string bare;    // the same without prefixes
  bool peft = false;   // ended as PEFT does, by lora_A or lora_B
  const model::ModuleSpec* linear = nullptr;
};

// "FILE: tensor NAME", for messages.
std::string place_of(const TensorEntry& entry);

class LoraNames {
 public:
  LoraNames(const model::NetworkSpec& network, Part part);

  // Throws UserError naming file and tensor: no known ending, no linear of the network.
  LoraName read(const TensorEntry& entry) const;
  // The official name and diffusers' of a linear.
  std::vector<std::string> of(const model::ModuleSpec& linear) const;

 private:
  KeyMap keys_;
  std::map<std::string, const model::ModuleSpec*> linears_;  // under official, diffusers and kohya names
};

}  // namespace ferry::checkpoint
