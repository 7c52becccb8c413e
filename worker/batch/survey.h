// What of a batch is there, what cannot be made, and what is left to do.
#pragma once

#include <string>
#include <vector>

#include "worker/batch/batch.h"
#include "worker/engine.h"
#include "worker/job/job.h"

namespace ferry::worker {

struct ItemFacts {
  bool there = false;       // its video, its record and its tensors, if asked for, exist
  std::string differences;  // of one that is there, between its record and the item; empty: none
  std::string error;        // why it cannot be made
  Job job;                  // resolved, unless there is an error

  bool left() const { return !there && error.empty(); }
};

// Looks at every item; opens the networks that they need.  With `removes`, what a killed run of the very same
// job has left is removed, unless another process holds its names: results without a record, and latents.
// Runs on the first rank alone.  Throws UserError for a fault of the model.
std::vector<ItemFacts> survey(Engine& engine, const Batch& batch, bool removes);

// Names what differs between the record at `path` and an item: "seed is 2, there 1; width is 64, there 128".
// `job` is the item's, resolved.  Of a drawn seed any will do.
std::string differences_from_record(const std::string& path, const BatchItem& item, const Job& job,
                                    const std::string& model_folder);

}  // namespace ferry::worker
