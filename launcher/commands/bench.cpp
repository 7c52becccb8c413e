#include "launcher/commands/bench.h"

#include <fmt/ranges.h>

#include <functional>
#include <memory>
#include <sstream>

#include "base/error.h"
#include "base/log.h"
#include "launcher/check.h"
#include "launcher/commands/bench_unused.h"
#include "launcher/commands/generate.h"
#include "launcher/options/keys.h"
#include "launcher/options/settings.h"
#include "launcher/options/value.h"
#include "launcher/ranks.h"

namespace ferry::launcher {
namespace {

// "1,0.5": parses each word with `read`.
template <typename T>
auto list(std::vector<T>& target, std::function<T(const std::string& flag, const std::string& word)> read) {
  return [&target, read](const std::string& flag, const std::string& value) {
    target.clear();
    std::istringstream words(value);
    for (std::string word; std::getline(words, word, ',');) target.push_back(read(flag, word));
    if (target.empty()) throw UserError(flag + ": the list is empty");
  };
}

FlagGroup sweep_keys(BenchOptions& options) {
  const auto ratio = [](const std::string& flag, const std::string& word) {
    return to_number(flag, word, 0, 1);
  };
  const auto depth = [](const std::string& flag, const std::string& word) {
    return static_cast<int>(to_integer(flag, word, 1, 1000));
  };
  const auto transport = [](const std::string& flag, const std::string& word) {
    return to_enum<offload::Transport>(flag, word);
  };
  const auto type = [](const std::string& flag, const std::string& word) {
    return to_enum<offload::StrategyKind>(flag, word);
  };
  return {"[sweep]: of async every combination of ratios, prefetches, transports and shares",
          {{"types", "", "LIST", "of " + words_text<offload::StrategyKind>(), "async", false,
            list<offload::StrategyKind>(options.types, type)},
           {"ratios", "", "LIST", "of offload_ratio", "1,0.5", false, list<double>(options.ratios, ratio)},
           {"prefetches", "", "LIST", "of prefetch_size", "1", false, list<int>(options.prefetches, depth)},
           {"transports", "", "LIST", "of " + words_text<offload::Transport>(), "full", false,
            list<offload::Transport>(options.transports, transport)},
           {"shares", "", "LIST", "of share, after the transports", "none", false,
            list<double>(options.shares, ratio)}}};
}

std::vector<FlagGroup> bench_keys(BenchOptions& options, bool sweeps) {
  const auto count = [](int& target, int least) {
    return [&target, least](const std::string& flag, const std::string& value) {
      target = static_cast<int>(to_integer(flag, value, least, 1000));
    };
  };
  const auto json = [&options](const std::string& flag, const std::string& value) {
    options.json = to_bool(flag, value);
  };
  std::vector<FlagGroup> groups = run_keys(options.run);
  if (sweeps) groups.insert(groups.begin(), sweep_keys(options));
  groups.insert(groups.begin(),
                {"[bench]",
                 {{"samples", "", "N", "timed runs", "5", false, count(options.samples, 1)},
                  {"warmups", "", "N", "runs before them", "1", false, count(options.warmups, 0)},
                  {"branches", "", "N", "guidance branches of a forward, 1 or 2", "1", false,
                   count(options.branches, 1)},
                  {"json", "", "", "one line of JSON instead of a table", "", true, json}}});
  return groups;
}

int measure(Measures what, const BenchOptions& options, parallel::Session& session) {
  if (session.rank() == 0 && !options.unused.empty())
    spdlog::info("without effect here: {}", fmt::join(options.unused, ", "));
  if (what == Measures::Forward) return bench_forward(options, session);
  return what == Measures::Decode ? bench_decode(options, session) : bench_offload(options, session);
}

Command make_bench(const std::string& name, const std::string& summary, Measures what) {
  const auto options = std::make_shared<BenchOptions>();
  Command command{name, summary, "--model DIR [--size WxH] [--frames N] [options]",
                  bench_keys(*options, what == Measures::Offload)};
  command.takes_ranks = true;
  command.takes_config = true;
  command.more_help =
      "Without --size and --frames: 416x240, 17 frames.  `ferry make-model` writes weights to measure "
      "with.\n";
  command.check = [options, what, groups = command.groups](const CommandLine& line, int ranks) {
    refuse_positional(line);
    const std::vector<Setting> settings = gather_settings(groups, line);
    apply_settings(groups, settings, options->run);
    options->unused = unused_keys(settings, *options, what);
    check_model(options->run, ranks);
    if (options->branches > 2) throw UserError("--branches: there are at most 2");
  };
  command.run = [options, what](int& argc, char**& argv) {
    return run_ranks(argc, argv, options->run.run,
                     [&](parallel::Session& session) { return measure(what, *options, session); });
  };
  return command;
}

}  // namespace

Command make_bench_forward() {
  return make_bench("bench forward", "times DiT forwards beside their matrix products and attention alone",
                    Measures::Forward);
}

Command make_bench_decode() {
  return make_bench("bench decode", "times VAE decodes beside their convolutions alone", Measures::Decode);
}

Command make_bench_offload() {
  Command command = make_bench("bench offload",
                               "times DiT steps under offloading beside resident ones and their lower bound",
                               Measures::Offload);
  command.more_help +=
      "The bound is max(compute beside the same traffic, bytes / link); --dit.offload.link_gbps makes a link "
      "of that\n"
      "speed.  --branches 2 with --cfg paired or serial: both guidance branches in one forward or in two.\n";
  return command;
}

}  // namespace ferry::launcher
