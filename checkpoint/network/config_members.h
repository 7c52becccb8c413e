// Members of a config.json that name a network or change what it computes, but not its tensors.
#pragma once

#include <string>
#include <vector>

#include "checkpoint/network/config_file.h"

namespace ferry::checkpoint {

// Throws UserError saying what the network is unless _class_name, architectures and umT5's model_type are
// those of Wan's parts.
void check_class(const ConfigFile& config, Part part);

// Throws UserError naming the member unless every one of config_members.cpp's tables has the value that Ferry
// computes with.
void check_members(const ConfigFile& config, Part part);

// "vace_in_dim = 96": members that neither Ferry nor its tables know and that are not switched off, so that
// nobody can say whether they change the network.
std::vector<std::string> unknown_members(const ConfigFile& config, Part part);

// The names of a part's classes, accepted as _class_name or in architectures.
const std::vector<std::string>& class_names(Part part);

// What another class is, in a few words: "VACE, which is conditioned on videos"; empty when it is not known.
std::string known_class(const std::string& name);

}  // namespace ferry::checkpoint
