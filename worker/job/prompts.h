// Prompts as the text encoder reads them, and their check before that.
#pragma once

#include <string>
#include <vector>

#include "worker/job/job.h"
#include "worker/networks.h"

namespace ferry::worker {

// The prompt and, with guidance, the negative one.
std::vector<std::string> prompts_of(const Job& job);

// Counts the tokens of the job's prompts.  Returns a line for each prompt that exceeds the model's text
// window and will be truncated.  Does nothing if the contexts come from a file.
// Throws UserError if nothing of the prompt is left for the text encoder.
std::vector<std::string> count_tokens(Job& job, const Networks& networks);

}  // namespace ferry::worker
