// The files that make_model writes, with their tensors and texts.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "checkpoint/formats/safetensors.h"
#include "checkpoint/make/make_model.h"
#include "checkpoint/network/expected.h"

namespace ferry::checkpoint {

struct PlannedTensor {
  TensorInfo info;  // name as in the file
  ExpectedTensor expected;
};

struct PlannedFile {
  std::string path;
  FileFormat format = FileFormat::Safetensors;
  std::vector<PlannedTensor> tensors;

  std::int64_t bytes() const;
};

struct PlannedText {
  std::string path;
  std::string content;
};

struct ModelPlan {
  std::vector<PlannedFile> files;
  std::vector<PlannedText> texts;     // config.json, the index of shards, scheduler_config.json
  std::vector<std::string> replaced;  // these paths must not exist unless overwriting
  std::string tokenizer;              // path of spiece.model, or empty without a text encoder

  std::int64_t bytes() const;
};

ModelPlan plan_model(const MakeModelOptions& options, const ModelConfigs& configs);

}  // namespace ferry::checkpoint
