// A .cfg file as settings.
#pragma once

#include <string>
#include <vector>

#include "launcher/options/flag.h"

namespace ferry::launcher {

// The settings of one .cfg file (launcher/options/config_text.h says how it is written).  `option` is how a
// message names what led to the file, "--config".  Settings point into `groups`. Throws UserError: no regular
// file, more than 16 MB, a line of no known form, an unknown group or key (names the nearest), a key given
// twice.
std::vector<Setting> parse_config_file(const std::vector<FlagGroup>& groups, const std::string& path,
                                       const std::string& option = "--config");

}  // namespace ferry::launcher
