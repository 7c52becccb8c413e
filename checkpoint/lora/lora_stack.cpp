#include "checkpoint/lora/lora_stack.h"

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

}  // namespace ferry::checkpoint
