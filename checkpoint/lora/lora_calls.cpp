#include "checkpoint/lora/lora_calls.h"

namespace ferry::checkpoint {

const LoraPair* pair_in_calls(const LoraUse& lora, const std::string& module) {
  const auto found = lora.file->pairs().find(module);
  if (lora.strength == 0 || found == lora.file->pairs().end() || !found->second.linear) return nullptr;
  return &found->second;
}

}  // namespace ferry::checkpoint
