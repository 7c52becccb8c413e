// The samplers that make_sampler() (sampler.h) makes.
#pragma once

#include <string>
#include <vector>

namespace ferry::model {

// "unipc", "dpm++", "euler", "step_distill".
std::vector<std::string> sampler_names();

}  // namespace ferry::model
