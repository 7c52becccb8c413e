// Reads a .cfg file as settings.
#pragma once

#include <string>
#include <vector>

#include "launcher/options/config_text.h"
#include "launcher/options/flag.h"

namespace ferry::launcher {

// The settings of one .cfg file (format: launcher/options/config_text.h).  `option` names the origin of the
// path in messages, "--config".  Settings point into `groups`.  Throws UserError: not a regular file, more
// than 16 MB, an invalid line, an unknown group or key (names the nearest), a repeated key.
std::vector<Setting> parse_config_file(const std::vector<FlagGroup>& groups, const std::string& path,
                                       const std::string& option = "--config");

// The two halves of it: the groups and keys of the file, whatever they are, and their settings.
std::vector<ConfigEntry> read_config_entries(const std::string& path, const std::string& option);
std::vector<Setting> settings_of(const std::vector<FlagGroup>& groups, const std::string& path,
                                 const std::vector<ConfigEntry>& entries);

}  // namespace ferry::launcher
