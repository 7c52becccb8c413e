// The files that a run reads, so that none of its results takes the place of one.
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

// The files of the whole model folder that are weights or settings (those of networks that this run does not
// need too), the LoRA's, the .cfg files, and the job's noise, context and latents.
std::vector<InputFile> inputs_of(const Options& options, const Job& job);

// Throws UserError when `path` is one of the inputs by device and inode, links followed.  `what` names the
// result.
void check_no_input(const std::string& what, const std::string& path, const std::vector<InputFile>& inputs);

}  // namespace ferry::worker
