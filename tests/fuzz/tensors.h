// Tensors in corpora, and reading what a target accepts.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "checkpoint/formats/safetensors.h"

namespace ferry::fuzz {

// The bytes of a safetensors file, by Ferry's writer; every byte of the data is 0x38, which is a finite
// number in each type.
std::string safetensors(const std::vector<checkpoint::TensorInfo>& tensors,
                        const std::map<std::string, std::string>& metadata);

// Reads every element, so that a range outside the file would be seen.  Throws UserError as
// checkpoint::read_tensor does.
void touch(const std::vector<checkpoint::TensorEntry>& entries);

}  // namespace ferry::fuzz
