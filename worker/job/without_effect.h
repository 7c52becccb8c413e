// Options given by the user that have no effect.
#pragma once

#include <string>
#include <vector>

#include "worker/job/job.h"
#include "worker/job/options.h"

namespace ferry::worker {

// Their keys, in the order of Options::echo: sampling options in a run that only decodes, prompts with a file
// of contexts, the generator's device with a file of noise, and settings of an offload type other than that
// of the stages they are for.
std::vector<std::string> options_without_effect(const Options& options, const Job& job);

}  // namespace ferry::worker
