// Checks members of a config.json that name a network or change its computation, but not its tensors.
#pragma once

#include <string>
#include <vector>

#include "checkpoint/network/config_file.h"

namespace ferry::checkpoint {

// Throws UserError naming the network unless _class_name, architectures and umT5's model_type are those of
// Wan's parts.
void check_class(const ConfigFile& config, Part part);

// Throws UserError naming the member unless every member in config_members.cpp's tables has the value that
// Ferry implements.
void check_members(const ConfigFile& config, Part part);

// "vace_in_dim = 96": members that are in none of Ferry's tables and not off, so their effect is unknown.
std::vector<std::string> unknown_members(const ConfigFile& config, Part part);

// Class names of a part, accepted as _class_name or in architectures.
const std::vector<std::string>& class_names(Part part);

// Describes another known class: "VACE, which is conditioned on videos"; empty if unknown.
std::string known_class(const std::string& name);

}  // namespace ferry::checkpoint
