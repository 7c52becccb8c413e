// A LoRA added in each call of its linears, for weights that must stay unchanged (type sequential).
#pragma once

#include <map>
#include <string>

#include "base/device.h"
#include "checkpoint/lora/lora.h"
#include "model/weights.h"
#include "offload/plan.h"

namespace ferry::worker {

// Throws UserError if a linear of the file is wrapped by AutoWrappedModule, which cannot add.
void check_wrappers(const checkpoint::LoraFile& lora, const offload::StagePlan& plan);

// Copies the file's pairs to the device, in the type of the weight each belongs to, by module name; the scale
// is strength * alpha / rank.  Queued on device.compute().
std::map<std::string, model::Lora> device_loras(const checkpoint::LoraFile& lora,
                                                const model::NetworkSpec& spec, double strength,
                                                Device& device);

}  // namespace ferry::worker
