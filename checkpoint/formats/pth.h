// Tensors of a .pth archive in torch.save's format since PyTorch 1.6 (wan21.md section 7).
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "checkpoint/checkpoint.h"

namespace ferry::checkpoint {

struct PthFile {
  std::vector<TensorEntry> entries;     // in the order of the state dict; any strides, storages may be shared
  std::shared_ptr<const void> mapping;  // keeps every entry's data alive
  std::string key;                      // path of the dict they were in: "generator"; "." for the root itself
  std::vector<std::string> other_keys;  // paths of the dicts with tensors that were not read
};

// Selects one of a file's dicts with tensors (by the paths of checkpoint/pickle/pickle.h).
struct PthChoice {
  std::string key;     // the path; if empty, the only dict whose tensors fit
  std::string option;  // the option that messages tell the user to set
  // optional; true if these names are the network's. Without it any dict fits.
  std::function<bool(std::span<const TensorEntry>)> fits;
};

// Throws UserError naming the file, the tensor and the reason; if several dicts fit or none does, their
// paths.
PthFile open_pth(const std::string& path, const PthChoice& choice = {});

}  // namespace ferry::checkpoint
