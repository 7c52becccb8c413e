// Whole safetensors files as tensors in host memory, for probes that exchange them with Python.
#pragma once

#include <ATen/core/Tensor.h>

#include <map>
#include <string>

namespace ferry::testing {

using TensorMap = std::map<std::string, at::Tensor>;

// Copies of all tensors, by the names in the file.  Throws UserError.
TensorMap read_safetensors(const std::string& path);

// Writes contiguous copies.
void write_safetensors(const std::string& path, const TensorMap& tensors);

}  // namespace ferry::testing
