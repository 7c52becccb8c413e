// The tables behind KeyMap.
#pragma once

#include <cstdint>
#include <vector>

#include "checkpoint/names/keys.h"

namespace ferry::checkpoint {

std::vector<KeyRule> dit_key_rules();
std::vector<KeyRule> umt5_key_rules();
std::vector<KeyRule> vae_key_rules(std::int64_t resnets);

}  // namespace ferry::checkpoint
