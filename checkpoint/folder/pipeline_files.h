// The files of a diffusers folder that say how its parts work together.
#pragma once

#include <optional>
#include <string>

#include "checkpoint/checkpoint.h"

namespace ferry::checkpoint {

// Throws UserError when the folder's model_index.json, if there is one, names another pipeline than Wan's
// text-to-video or another class for this part.
void check_model_index(const std::string& folder, Part part);

// flow_shift (or shift) of scheduler/scheduler_config.json, if the folder has one that says.
// Throws UserError when the file is damaged, the value is not a positive number, or the file asks for what
// Ferry's samplers do not do: another prediction than the flow, other noise levels, another solver order.
std::optional<double> scheduler_flow_shift(const std::string& model_dir);

// The sampler (model/sampler/sampler.h) that stands for the class in scheduler_config.json: unipc, dpm++ or
// euler; empty when the folder does not say.  Throws as scheduler_flow_shift does.
std::string scheduler_sampler(const std::string& model_dir);

}  // namespace ferry::checkpoint
