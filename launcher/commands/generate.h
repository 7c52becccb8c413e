// Shared by `generate` and `demo`: a run described by the keys of a job.
#pragma once

#include <memory>

#include "launcher/command.h"
#include "worker/job/options.h"

namespace ferry::launcher {

// Reads the settings of `line` into `options` and checks them.  Returns them; they point into the groups that
// `line` was parsed with.
std::vector<Setting> read_run_options(const std::vector<FlagGroup>& groups, const CommandLine& line,
                                      int ranks, worker::Options& options);

// Runs worker::run on this rank.
int run_worker(int& argc, char**& argv, const worker::Options& options);

// Throws UserError if there are positional arguments.
void refuse_positional(const CommandLine& line);

}  // namespace ferry::launcher
