// Tensors of a .pth archive, as torch.save writes them since PyTorch 1.6 (wan21.md section 7).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "model/checkpoint/checkpoint.h"

namespace ferry::model {

struct PthFile {
  std::vector<TensorEntry> entries;     // in the order of the state dict; any strides, storages may be shared
  std::shared_ptr<const void> mapping;  // keeps every entry's data alive
};

// Throws UserError naming the file, the tensor and the reason.
PthFile open_pth(const std::string& path);

}  // namespace ferry::model
