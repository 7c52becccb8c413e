// Collects settings from their three sources, in order, into worker::Options.
#pragma once

#include <vector>

#include "launcher/options/options.h"
#include "worker/job/options.h"

namespace ferry::launcher {

// All settings, lowest precedence first: <model folder>/ferry.cfg, each --config, the command line.
// Throws UserError as parse_config_file does, and if a ferry.cfg sets more than how videos are made.
std::vector<Setting> gather_settings(const std::vector<FlagGroup>& groups, const CommandLine& line);

// Drops settings of the checkpoint's ferry.cfg that a job that only decodes latents has no use for, if it is
// one.
std::vector<Setting> without_overruled(std::vector<Setting> settings);

// Stores the values, those of single stages after those of [offload], and lists the result in options.echo.
// Throws UserError from the flags' setters.
void apply_settings(const std::vector<FlagGroup>& groups, const std::vector<Setting>& settings,
                    worker::Options& options);

}  // namespace ferry::launcher
