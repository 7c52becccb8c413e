// Finds the quantisation of a checkpoint among its tensors (checkpoint/quantization/quantization.h).
#pragma once

#include <string>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "checkpoint/quantization/quantization.h"

namespace ferry::checkpoint {

// Gives each quantised tensor its scale, and marks what only describes others as `companion`.  `names` are
// those of `entries` without foreign prefixes. Throws UserError: half of a pair, two scales for one weight, a
// scale or mark that does not suit its weight, 8-bit weights without scales beside others that have them or
// beside scales of inputs, anything else whose name has the word scale.  Companions are marked before it
// throws.
Quantization find_quantization(std::vector<TensorEntry>& entries, const std::vector<std::string>& names,
                               const HeaderMarks& marks, const std::string& config_file);

}  // namespace ferry::checkpoint
