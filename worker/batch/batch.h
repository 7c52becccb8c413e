// The items of a manifest: videos to be made by one program.
#pragma once

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "worker/job/options.h"

namespace ferry::worker {

struct BatchItem {
  int line = 0;             // of the manifest, from 1
  std::string id = "null";  // as JSON, for the list of failed items
  JobOptions job;           // has `out` or `name`
  Echo echo;                // all options with the item's own
  std::string error;        // why it cannot be made, if that is known from its line
};

struct Batch {
  std::vector<BatchItem> items;   // in the manifest's order; not empty
  std::string failed_path;        // list of failed items (worker/batch/failed_list.h)
  std::size_t context_bytes = 0;  // limit of encoded prompts in host memory; 0: a part of what is free
};

// For messages: "line 3 (cat)", or "line 3" without an id.
std::string title_of(const BatchItem& item);

// The item's outputs without extension.
std::string stem_of(const JobOptions& job);

// Throws UserError "line N: ..." if an item writes a file that another writes or reads, or one of `taken`, of
// which each has a name for messages.
void check_outputs_differ(const std::vector<BatchItem>& items,
                          const std::vector<std::pair<std::string, std::string>>& taken = {});

}  // namespace ferry::worker
