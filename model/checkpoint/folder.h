// Which files of a model folder hold what, in the official and the diffusers layout.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "model/checkpoint/checkpoint.h"

namespace ferry::model {

// Where one network lies.
struct PartFiles {
  std::vector<std::string> files;  // safetensors files or one .pth; with an index: the shards it names
  std::string index;               // *.safetensors.index.json, or empty
  std::string config;              // config.json beside the files, or empty
  std::string dit_config;          // the DiT's config.json in this model folder, or empty
};

// Throws UserError: the folder does not exist, nothing of this part is in it (the names that were looked
// for are listed), an index names a shard that is not there, a numbered shard is missing.
PartFiles find_part(const std::string& model_dir, Part part);

// Path of the SentencePiece model: tokenizer/spiece.model or google/umt5-xxl/spiece.model.
// Throws UserError listing both when there is none.
std::string find_tokenizer(const std::string& model_dir);

// flow_shift (or shift) of scheduler/scheduler_config.json, if the folder has one that says.
// Throws UserError when the file is damaged or the value is not a positive number.
std::optional<double> scheduler_flow_shift(const std::string& model_dir);

}  // namespace ferry::model
