// Options that somebody gave and that change nothing.
#pragma once

#include <string>
#include <vector>

#include "worker/job/job.h"
#include "worker/job/options.h"

namespace ferry::worker {

// Their keys, in the order of Options::echo: what is sampled from in a run that only decodes, prompts beside
// a file of contexts, the generator's device beside a file of noise, and settings of another offload type
// than that of each stage they are for.
std::vector<std::string> options_without_effect(const Options& options, const Job& job);

}  // namespace ferry::worker
