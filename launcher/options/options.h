// Parses the command line into settings.  The only file that uses Boost.Program_options.
//
// A key of a .cfg file (launcher/options/config_file.h) is also a flag:  [offload] prefetch_size = 2  is
// --offload.prefetch_size 2.  The command line overrides files (--config F, repeatable, later wins), which
// override the checkpoint's own ferry.cfg, which overrides defaults.  There are two short options, -n and -h.
#pragma once

#include <string>
#include <vector>

#include "launcher/options/flag.h"

namespace ferry::launcher {

struct CommandLine {
  std::vector<Setting> settings;          // in the order given
  std::vector<std::string> config_files;  // --config
  std::vector<std::string> positional;
  int ranks = 0;      // -n; 0: not given
  bool help = false;  // -h, --help
};

// `args` are the words after the command's name.  Settings point into `groups`.
// Throws UserError: an unknown option (names the nearest), a missing value, a repeated option.
CommandLine parse_command_line(const std::vector<FlagGroup>& groups, const std::vector<std::string>& args);

// Throws UserError if two settings are of the same flag: the later "is given twice".
void refuse_repeated(const std::vector<Setting>& settings);

// Formats the groups as --help text.
std::string describe(const std::vector<FlagGroup>& groups);

}  // namespace ferry::launcher
