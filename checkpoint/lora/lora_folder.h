// Finds a LoRA's file, and decides whether the adapter_config.json beside it belongs to it.
#pragma once

#include <string>

namespace ferry::checkpoint {

// Returns the safetensors file for `path`: itself; in a PEFT folder the adapter_model*.safetensors, else the
// folder's only .safetensors.  A folder in the Hub's cache (checkpoint/folder/hub_folder.h) stands for its
// snapshot.  Throws UserError naming the candidates if there are several, and naming what is there instead if
// there is none (adapter_model.bin, shards).
std::string lora_file(const std::string& path);

struct AdapterConfig {
  std::string path;  // empty if there is none
  bool belongs =
      false;  // to this file: it is an adapter_model*.safetensors, or the folder's only .safetensors
};

// The adapter_config.json in the folder of a LoRA file or, for a link, in the folder of its target.
AdapterConfig adapter_config_of(const std::string& file);

}  // namespace ferry::checkpoint
