// The JSON files of a model folder.
#pragma once

#include <map>
#include <string>

#include "checkpoint/make/make_model.h"

namespace ferry::checkpoint {

// The config.json of a part, in the form of that layout's own library; empty for the official VAE and text
// encoder, which have none.
std::string config_text(Part part, KeyLayout layout, const ModelConfigs& configs);

// diffusers' scheduler/scheduler_config.json and model_index.json.
std::string scheduler_text();
std::string model_index_text();

// *.safetensors.index.json: tensor name -> file name.
std::string index_text(const std::map<std::string, std::string>& weight_map, std::int64_t total_bytes);

}  // namespace ferry::checkpoint
