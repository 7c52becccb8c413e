#include "launcher/commands/generate.h"

#include <fmt/format.h>

#include "base/error.h"
#include "launcher/check.h"
#include "launcher/options/keys.h"
#include "launcher/options/manifest.h"
#include "launcher/options/settings.h"
#include "launcher/ranks.h"
#include "parallel/agree.h"
#include "worker/batch/run_batch.h"
#include "worker/run.h"

namespace ferry::launcher {

void refuse_positional(const CommandLine& line) {
  if (!line.positional.empty()) {
    throw UserError(
        fmt::format("'{}': unexpected word; a text with spaces needs quotes", line.positional.front()));
  }
}

std::vector<Setting> read_run_options(const std::vector<FlagGroup>& groups, const CommandLine& line,
                                      int ranks, worker::Options& options) {
  refuse_positional(line);
  std::vector<Setting> settings = gather_settings(groups, line);
  apply_settings(groups, settings, options);
  options.config_files = line.config_files;
  check_options(options, ranks);
  return settings;
}

int run_worker(int& argc, char**& argv, const worker::Options& options) {
  worker::StopRequest stop;
  return run_ranks(
      argc, argv, options.run,
      [&](parallel::Session& session) { return worker::run(options, session, stop); }, &stop);
}

namespace {

// The manifest, read by the first rank.  Collective.
worker::Batch read_batch(parallel::Session& session, const std::string& path,
                         const std::vector<Setting>& given) {
  const std::string text = parallel::from_rank_0(session, [&] {
    std::string read = read_manifest(path);
    parse_manifest(read, path, given);
    return read;
  });
  return {.items = parse_manifest(text, path, given), .failed_path = failed_path_of(path)};
}

int run_jobs(int& argc, char**& argv, const worker::Options& options, const std::vector<Setting>& given) {
  worker::StopRequest stop;
  return run_ranks(
      argc, argv, options.run,
      [&](parallel::Session& session) {
        return worker::run_batch(options, read_batch(session, options.run.jobs, given), session, stop);
      },
      &stop);
}

}  // namespace

Command make_generate() {
  const auto options = std::make_shared<worker::Options>();
  const auto given = std::make_shared<std::vector<Setting>>();
  Command command{"generate", "makes a video from a prompt, or many from a manifest",
                  "--model DIR --prompt TEXT [options]", run_keys(*options)};
  command.takes_ranks = true;
  command.takes_config = true;
  command.can_stop = true;
  command.more_help =
      "example: ferry generate -n 2 --model Wan2.1-T2V-1.3B --prompt \"a cat plays the piano\" --size "
      "480x272\n";
  // Settings point into the groups.
  const auto groups = std::make_shared<const std::vector<FlagGroup>>(command.groups);
  command.check = [options, given, groups](const CommandLine& line, int ranks) {
    *given = read_run_options(*groups, line, ranks, *options);
  };
  command.gives_input = [options] { return options->run.jobs == "-"; };
  command.run = [options, given, groups](int& argc, char**& argv) {
    if (options->run.jobs.empty()) return run_worker(argc, argv, *options);
    return run_jobs(argc, argv, *options, *given);
  };
  return command;
}

}  // namespace ferry::launcher
