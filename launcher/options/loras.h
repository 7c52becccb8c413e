// The LoRAs of a run or of a manifest's item, from what was given.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <vector>

#include "worker/job/options.h"

namespace ferry::launcher {

// Accepted values of lora.strength.
inline constexpr double kMostStrength = 1000;

// Throws UserError: strengths that are neither one nor as many as the paths.  Those without any path are
// ignored (launcher/check.h).
std::vector<worker::LoraChoice> loras_of(const worker::LoraOptions& options);

// An item's `lora`: a list of objects with `path` and `strength` (1); [] is none.  Throws UserError naming
// what is wrong and what is accepted.
std::vector<worker::LoraChoice> loras_of(const nlohmann::json& list);

}  // namespace ferry::launcher
