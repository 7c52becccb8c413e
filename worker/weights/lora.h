// LoRAs added in each call of their linears, for weights that must stay unchanged (type sequential).
#pragma once

#include <map>
#include <string>

#include "base/device.h"
#include "checkpoint/lora/lora_stack.h"
#include "model/weights.h"
#include "offload/plan.h"

namespace ferry::worker {

// Throws UserError if a linear of one of them is wrapped by AutoWrappedModule, which cannot add.
void check_wrappers(const checkpoint::LoraStack& loras, const offload::StagePlan& plan);

// Copies the low-rank additions to linears to the device, in the type of the weight each belongs to, by
// module name; the scale is strength * alpha / rank.  Those of several LoRAs to one linear become a single
// one, whose rank is the sum of theirs and whose B has the scales multiplied in.  Queued on device.compute().
std::map<std::string, model::Lora> device_loras(const checkpoint::LoraStack& loras,
                                                const model::NetworkSpec& spec, Device& device);

}  // namespace ferry::worker
