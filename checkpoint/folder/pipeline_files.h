// Pipeline-level files of a diffusers folder.
#pragma once

#include <optional>
#include <string>

#include "checkpoint/checkpoint.h"

namespace ferry::checkpoint {

// Throws UserError if the folder has a model_index.json that names a pipeline other than Wan's text-to-video
// or another class for this part.
void check_model_index(const std::string& folder, Part part);

// flow_shift (or shift) of scheduler/scheduler_config.json, if set there.
// Throws UserError if the file is damaged, the value is not a positive number, or the file asks for something
// that Ferry's samplers do not do: a prediction type other than flow, other noise levels, another solver
// order.
std::optional<double> scheduler_flow_shift(const std::string& model_dir);

// The sampler (model/sampler/sampler.h) equivalent to the class in scheduler_config.json: unipc, dpm++ or
// euler; empty if the folder does not name one.  Throws as scheduler_flow_shift does.
std::string scheduler_sampler(const std::string& model_dir);

}  // namespace ferry::checkpoint
