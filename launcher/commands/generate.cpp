#include "launcher/commands/generate.h"

#include <fmt/format.h>

#include "base/error.h"
#include "launcher/check.h"
#include "launcher/options/keys.h"
#include "launcher/options/settings.h"
#include "launcher/ranks.h"
#include "worker/run.h"

namespace ferry::launcher {

void refuse_positional(const CommandLine& line) {
  if (!line.positional.empty()) {
    throw UserError(
        fmt::format("'{}': unexpected word; a text with spaces needs quotes", line.positional.front()));
  }
}

void read_run_options(const std::vector<FlagGroup>& groups, const CommandLine& line, int ranks,
                      worker::Options& options) {
  refuse_positional(line);
  apply_settings(groups, gather_settings(groups, line), options);
  options.config_files = line.config_files;
  check_options(options, ranks);
}

int run_worker(int& argc, char**& argv, const worker::Options& options) {
  worker::StopRequest stop;
  return run_ranks(
      argc, argv, options.run,
      [&](parallel::Session& session) { return worker::run(options, session, stop); }, &stop);
}

Command make_generate() {
  const auto options = std::make_shared<worker::Options>();
  Command command{"generate", "makes a video from a prompt", "--model DIR --prompt TEXT [options]",
                  run_keys(*options)};
  command.takes_ranks = true;
  command.takes_config = true;
  command.can_stop = true;
  command.more_help =
      "example: ferry generate -n 2 --model Wan2.1-T2V-1.3B --prompt \"a cat plays the piano\" --size "
      "480x272\n";
  command.check = [options, groups = command.groups](const CommandLine& line, int ranks) {
    read_run_options(groups, line, ranks, *options);
  };
  command.run = [options](int& argc, char**& argv) { return run_worker(argc, argv, *options); };
  return command;
}

}  // namespace ferry::launcher
