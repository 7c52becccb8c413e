// What `generate` and `demo` share: a run described by the keys of a job.
#pragma once

#include <memory>

#include "launcher/command.h"
#include "worker/job/options.h"

namespace ferry::launcher {

// Reads the settings of `line` into `options` and checks them.
void read_run_options(const std::vector<FlagGroup>& groups, const CommandLine& line, int ranks,
                      worker::Options& options);

// Runs worker::run on this rank.
int run_worker(int& argc, char**& argv, const worker::Options& options);

// The word that a command takes none of.
void refuse_positional(const CommandLine& line);

}  // namespace ferry::launcher
