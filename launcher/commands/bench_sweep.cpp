#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>

#include "base/error.h"
#include "base/log.h"
#include "launcher/command.h"
#include "launcher/commands/generate.h"
#include "launcher/options/paths.h"
#include "launcher/options/settings.h"
#include "launcher/options/value.h"
#include "launcher/process/job.h"
#include "launcher/process/streams.h"
#include "launcher/ranks.h"
#include "launcher/sweep/conduct.h"
#include "launcher/sweep/grid.h"
#include "launcher/sweep/ranks.h"
#include "launcher/sweep/row.h"
#include "launcher/sweep/sweep_file.h"
#include "parallel/mpi/environment.h"
#include "worker/planner/rates.h"
#include "worker/state/stop_request.h"

namespace ferry::launcher {
namespace {

struct SweepOptions {
  std::string grid;
  std::string out;
  SweepCounts counts;
  worker::Options run;  // of the ranks: deadline and log level
  std::vector<SweepCell> cells;
};

FlagGroup own_keys(SweepOptions& options) {
  const auto path = [](std::string& target) {
    return [&target](const std::string& flag, const std::string& value) {
      if (value.empty()) throw UserError(flag + ": the value is empty");
      target = expand_home(value);
    };
  };
  const auto count = [](int& target, int least) {
    return [&target, least](const std::string& flag, const std::string& value) {
      target = static_cast<int>(to_integer(flag, value, least, 900));
    };
  };
  return {"[sweep]",
          {{"grid", "", "FILE", "a .cfg file with [grid]: lists of what is varied", "", false,
            path(options.grid)},
           {"out", "", "FILE", "JSON lines, a row for each cell; rows that are there stay", "", false,
            path(options.out)},
           {"samples", "", "N", "timed steps of a cell", "5", false, count(options.counts.samples, 1)},
           {"warmups", "", "N", "steps before them", "3", false, count(options.counts.warmups, 1)}}};
}

bool is_rank_of_sweep() { return parallel::is_rank() && launched_by_ferry(); }

// The command's own settings; the rest is for the grid.
void apply_own(const CommandLine& line, const FlagGroup& own, std::vector<Setting>& others) {
  for (const Setting& setting : line.settings) {
    const bool is_own =
        std::ranges::any_of(own.flags, [&](const Flag& flag) { return flag.key == setting.flag->key; });
    if (is_own) {
      setting.flag->set(setting.written, setting.value);
    } else {
      others.push_back(setting);
    }
  }
}

void check_sweep(const CommandLine& line, const std::vector<FlagGroup>& groups, SweepOptions& options) {
  refuse_positional(line);
  if (is_rank_of_sweep()) return apply_settings(groups, line.settings, options.run);
  if (parallel::is_rank()) {
    throw UserError(
        "bench sweep starts the ranks of each cell itself; accepted: without mpirun and srun's "
        "--mpi, one process, or several that share --out");
  }
  std::vector<Setting> others;
  apply_own(line, groups.front(), others);
  if (options.grid.empty()) throw UserError("--grid: the file of what is varied is missing");
  if (options.out.empty()) throw UserError("--out: the file of the rows is missing, as in --out sweep.jsonl");
  options.cells = read_grid(options.grid, others);
}

// Of all cells alike: the machine is no key of [grid].
Predict prediction_by(const std::string& machine) {
  if (machine == "auto" || machine == "none") return {};
  return [rates = worker::load_machine(machine)](const SweepCell& cell, const worker::StepFacts& facts) {
    return predicted_fields(cell, facts, rates);
  };
}

void end_at_once(int /*signal*/) { ::_exit(worker::kRequeueExit); }

// Where no ranks run nothing is lost: a row that is being written is whole or torn.  While they do, run_job
// catches these signals.
void end_at_once_when_asked() {
  for (const int signal : {SIGTERM, SIGUSR1}) {
    // What nohup ignores stays ignored.
    if (std::signal(signal, end_at_once) == SIG_IGN) std::signal(signal, SIG_IGN);
  }
}

int conduct_sweep(SweepOptions& options) {
  end_at_once_when_asked();
  start_log("warning", 0, 1);
  const Predict predict = prediction_by(options.cells.front().options.run.machine);
  SweepFile file(options.out);
  const std::vector<PlannedCell> cells = plan_sweep(std::move(options.cells), predict);
  const int code = run_sweep(cells, file, options.counts);
  std::set<std::string> names;
  for (const PlannedCell& cell : cells) names.insert(cell.name);
  std::vector<std::string> rows;
  for (const std::string& row : file.rows()) {
    if (names.contains(nlohmann::json::parse(row).at("cell").get<std::string>())) rows.push_back(row);
  }
  say(table_of(rows));
  return code;
}

}  // namespace

Command make_bench_sweep() {
  const auto options = std::make_shared<SweepOptions>();
  std::vector<FlagGroup> groups = sweep_keys(options->run);
  groups.insert(groups.begin(), own_keys(*options));
  Command command{"bench sweep", "times denoising steps over a grid of ranks, strategies and sizes",
                  "--grid FILE --out FILE.jsonl [options]", std::move(groups)};
  command.more_help =
      "[grid] has lists of: model, ranks, size, frames, attention, cfg, ulysses, type, transport, "
      "interleave,\n"
      "offload_ratio, prefetch_size, link_gbps.  It starts the ranks itself.  Killed and run again, it goes "
      "on;\n"
      "several of it may share --out.  `ferry bench plot` draws the rows.\n";
  command.check = [options, groups = command.groups](const CommandLine& line, int) {
    check_sweep(line, groups, *options);
  };
  command.run = [options](int& argc, char**& argv) {
    if (is_rank_of_sweep()) return run_sweep_ranks(argc, argv, options->run.run);
    return conduct_sweep(*options);
  };
  return command;
}

}  // namespace ferry::launcher
