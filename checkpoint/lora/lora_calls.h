// Low-rank additions to linears, which calls add where the weights stay as they are (LoraTerms::NotInCalls).
#pragma once

#include <string>

#include "checkpoint/lora/lora_stack.h"

namespace ferry::checkpoint {

// What `lora` adds in calls of the module with this official name; nullptr: nothing, or its strength is 0.
const LoraPair* pair_in_calls(const LoraUse& lora, const std::string& module);

}  // namespace ferry::checkpoint
