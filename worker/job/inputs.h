// Files that a run reads, so that no result overwrites one.
#pragma once

#include <string>
#include <vector>

#include "worker/job/job.h"
#include "worker/job/options.h"

namespace ferry::worker {

struct InputFile {
  std::string what;  // "noise", "model"
  std::string path;
};

// All weights and settings in the model folder (including networks that this run does not need), the LoRA's
// files, the .cfg files, and the job's noise, context and latents.
std::vector<InputFile> inputs_of(const Options& options, const Job& job);

// Throws UserError if `path` is one of the inputs by device and inode, following links.  `what` names the
// result.
void check_no_input(const std::string& what, const std::string& path, const std::vector<InputFile>& inputs);

}  // namespace ferry::worker
