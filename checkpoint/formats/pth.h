// Tensors of a .pth archive, as torch.save writes them since PyTorch 1.6 (wan21.md section 7).
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
  std::string key;                      // of the dict they were in: "generator"; "." for the root itself
  std::vector<std::string> other_keys;  // of the dicts with tensors that were not taken
};

// Which of a file's dicts with tensors is meant (checkpoint/pickle/pickle.h's paths name them).
struct PthChoice {
  std::string key;     // the path, or empty: the only one whose tensors fit
  std::string option;  // "--model.dit_key": what a message tells the user to give
  // Whether these names are the network's; any dict fits without it.
  std::function<bool(std::span<const TensorEntry>)> fits;
};

// Throws UserError naming the file, the tensor and the reason; when several dicts fit or none does, their
// keys.
PthFile open_pth(const std::string& path, const PthChoice& choice = {});

}  // namespace ferry::checkpoint
