#include "launcher/commands/bench.h"

#include <memory>

#include "base/error.h"
#include "launcher/check.h"
#include "launcher/commands/generate.h"
#include "launcher/keys.h"
#include "launcher/ranks.h"
#include "launcher/settings.h"
#include "launcher/value.h"

namespace ferry::launcher {
namespace {

std::vector<FlagGroup> bench_keys(BenchOptions& options) {
  const auto count = [](int& target, int least) {
    return [&target, least](const std::string& flag, const std::string& value) {
      target = static_cast<int>(to_integer(flag, value, least, 1000));
    };
  };
  const auto json = [&options](const std::string& flag, const std::string& value) {
    options.json = to_bool(flag, value);
  };
  std::vector<FlagGroup> groups = run_keys(options.run);
  groups.insert(groups.begin(),
                {"[bench]",
                 {{"samples", "", "N", "timed runs", "5", false, count(options.samples, 1)},
                  {"warmups", "", "N", "runs before them", "1", false, count(options.warmups, 0)},
                  {"branches", "", "N", "guidance branches of a forward, 1 or 2", "1", false,
                   count(options.branches, 1)},
                  {"json", "", "", "one line of JSON instead of a table", "", true, json}}});
  return groups;
}

Command make_bench(const std::string& name, const std::string& summary,
                   int (*measure)(const BenchOptions&, parallel::Session&)) {
  const auto options = std::make_shared<BenchOptions>();
  Command command{name, summary, "--model DIR [--size WxH] [--frames N] [options]", bench_keys(*options)};
  command.takes_ranks = true;
  command.takes_config = true;
  command.more_help =
      "Without --size and --frames: 416x240, 17 frames.  `ferry make-model` writes weights to measure "
      "with.\n";
  command.check = [options, groups = command.groups](const CommandLine& line, int ranks) {
    refuse_positional(line);
    apply_settings(groups, gather_settings(groups, line), options->run);
    check_model(options->run, ranks);
    if (options->branches > 2) throw UserError("--branches: there are at most 2");
  };
  command.run = [options, measure](int& argc, char**& argv) {
    return run_ranks(argc, argv, options->run.run,
                     [&](parallel::Session& session) { return measure(*options, session); });
  };
  return command;
}

}  // namespace

Command make_bench_forward() {
  return make_bench("bench forward", "times DiT forwards beside their matrix products and attention alone",
                    bench_forward);
}

Command make_bench_decode() {
  return make_bench("bench decode", "times VAE decodes beside their convolutions alone", bench_decode);
}

}  // namespace ferry::launcher
