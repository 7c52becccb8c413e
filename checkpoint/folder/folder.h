// Finds the files of a model folder, in the official and the diffusers layout.
#pragma once

#include <string>
#include <vector>

#include "checkpoint/checkpoint.h"

namespace ferry::checkpoint {

// The files of one network.
struct PartFiles {
  std::vector<std::string> files;  // safetensors files or one .pth (.pt); with an index: the shards it names
  std::string index;               // *.safetensors.index.json, or empty
  std::string config;              // config.json beside the files, or empty
  std::string dit_config;          // the DiT's config.json in this model folder, or empty
};

// `model_dir` may be a model's folder in a Hugging Face cache (hub_folder.h).
// Throws UserError: the folder does not exist, it has nothing of this part (the names searched for are
// listed), an index names a missing shard, a numbered shard is missing, model_index.json names another
// network.
PartFiles find_part(const std::string& model_dir, Part part);

// Path of the SentencePiece model: tokenizer/spiece.model or google/umt5-xxl/spiece.model.
// Throws UserError listing both if neither exists.
std::string find_tokenizer(const std::string& model_dir);

}  // namespace ferry::checkpoint
