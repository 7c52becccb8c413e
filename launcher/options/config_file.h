// Reads a .cfg file as settings.
#pragma once

#include <string>
#include <vector>

#include "launcher/options/flag.h"

namespace ferry::launcher {

// The settings of one .cfg file (format: launcher/options/config_text.h).  `option` names the origin of the
// path in messages, "--config".  Settings point into `groups`.  Throws UserError: not a regular file, more
// than 16 MB, an invalid line, an unknown group or key (names the nearest), a repeated key.
std::vector<Setting> parse_config_file(const std::vector<FlagGroup>& groups, const std::string& path,
                                       const std::string& option = "--config");

}  // namespace ferry::launcher
