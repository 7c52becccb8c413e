// Where a LoRA lies, and whose the adapter_config.json beside it is.
#pragma once

#include <string>

namespace ferry::checkpoint {

// The safetensors file that `path` names: itself; of a folder as PEFT writes it the
// adapter_model*.safetensors, or else the only .safetensors there.  A folder of the Hub's cache
// (checkpoint/folder/hub_folder.h) stands for its snapshot.  Throws UserError naming the candidates when
// there are several, and what is there instead when there is none (adapter_model.bin, shards).
std::string lora_file(const std::string& path);

struct AdapterConfig {
  std::string path;      // empty: there is none
  bool belongs = false;  // to this file: an adapter_model*.safetensors, or the folder's only .safetensors
};

// The adapter_config.json in the folder of a LoRA file or, when the file is a link, in the folder of what it
// leads to.
AdapterConfig adapter_config_of(const std::string& file);

}  // namespace ferry::checkpoint
