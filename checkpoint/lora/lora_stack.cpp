#include "checkpoint/lora/lora_stack.h"

#include <algorithm>

#include "checkpoint/lora/lora_calls.h"

namespace ferry::checkpoint {

std::vector<LoraAddition> additions_to(const std::string& key, const LoraStack& stack, LoraTerms terms) {
  std::vector<LoraAddition> additions;
  for (const auto& [file, strength] : stack) {
    if (strength == 0) continue;
    const LoraPair* pair = file->pair_of(key);
    const bool in_calls = terms == LoraTerms::NotInCalls && pair != nullptr && pair->linear;
    if (pair != nullptr && !in_calls) additions.push_back({.pair = pair, .strength = strength});
    if (const TensorEntry* difference = file->difference_of(key))
      additions.push_back({.difference = difference, .strength = strength});
  }
  return additions;
}

std::size_t bytes_in_calls(const LoraStack& stack, const model::NetworkSpec& network) {
  std::size_t bytes = 0;
  const auto add = [&](const model::ModuleSpec& module) {
    for (const LoraUse& lora : stack) {
      if (const LoraPair* pair = pair_in_calls(lora, module.name))
        bytes += static_cast<std::size_t>(pair->down.numel() + pair->up.numel()) *
                 size_of(module.tensors.at(0).dtype);
    }
  };
  std::ranges::for_each(network.head, add);
  for (const model::BlockSpec& block : network.blocks) std::ranges::for_each(block.modules, add);
  std::ranges::for_each(network.tail, add);
  return bytes;
}

}  // namespace ferry::checkpoint
