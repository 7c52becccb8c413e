// Finds the quantisation of a checkpoint among its tensors (checkpoint/quantization/quantization.h).
#pragma once

#include <string>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "checkpoint/quantization/quantization.h"

namespace ferry::checkpoint {

// Assigns each quantised tensor its scale, and marks tensors that only describe others as `companion`.
// `names` are those of `entries` without foreign prefixes.  Throws UserError: half of a pair, two scales for
// one weight, a scale or mark that does not fit its weight, 8-bit weights without scales beside others that
// have them or beside input scales, any other name with the word scale.  Companions are marked before it
// throws.
Quantization find_quantization(std::vector<TensorEntry>& entries, const std::vector<std::string>& names,
                               const HeaderMarks& marks, const std::string& config_file);

}  // namespace ferry::checkpoint
