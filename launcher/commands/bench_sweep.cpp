#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <system_error>

#include "base/error.h"
#include "base/log.h"
#include "base/text/shown.h"
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
#include "launcher/sweep/prediction.h"
#include "launcher/sweep/ranks.h"
#include "launcher/sweep/row.h"
#include "launcher/sweep/sweep_file.h"
#include "parallel/mpi/environment.h"
#include "worker/output/files.h"
#include "worker/planner/rates.h"
#include "worker/state/stop_request.h"

namespace ferry::launcher {
namespace {

struct SweepOptions {
  std::string grid;
  std::string out;
  SweepCounts counts;
  bool predict = false;  // instead of measuring
  std::optional<double> vram_gib{};
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
  const auto predict = [&options](const std::string& flag, const std::string& value) {
    options.predict = to_bool(flag, value);
  };
  const auto vram = [&options](const std::string& flag, const std::string& value) {
    options.vram_gib = to_number(flag, value, 0.001, 1e6);
  };
  return {"[sweep]",
          {{"grid", "", "FILE", "a .cfg file with [grid]: lists of what is varied", "", false,
            path(options.grid)},
           {"out", "", "FILE", "JSON lines, a row for each cell; rows that are there stay", "", false,
            path(options.out)},
           {"samples", "", "N", "timed steps of a cell", "5", false, count(options.counts.samples, 1)},
           {"warmups", "", "N", "steps before them", "3", false, count(options.counts.warmups, 1)},
           {"predict", "", "", "predicts all cells by --machine, starts no ranks, and writes --out anew", "",
            true, predict},
           {"vram", "", "GIB", "with --predict: memory of each GPU", "the machine's", false, vram}}};
}

// Of all cells alike: the machine is no key of [grid].
const std::string& machine_of(const SweepOptions& options) {
  return options.cells.front().options.run.machine;
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

bool is_given(const CommandLine& line, const char* key) {
  return std::ranges::any_of(line.settings, [key](const Setting& each) { return each.flag->key == key; });
}

// Where --out goes, and what only one of measuring and predicting uses.
void check_ways(const CommandLine& line, const SweepOptions& options) {
  if (!options.predict) {
    if (options.vram_gib)
      throw UserError("--vram: ranks have the memory that is there; it goes with --predict alone");
    if (options.out.empty())
      throw UserError("--out: the file of the rows is missing, as in --out sweep.jsonl");
    return;
  }
  for (const char* key : {"samples", "warmups"}) {
    if (is_given(line, key)) throw UserError(fmt::format("--{}: with --predict no step is timed", key));
  }
  if (options.out.empty()) return;
  std::error_code error;  // of an invalid name, which is refused below
  if (std::filesystem::exists(options.out, error)) {
    throw UserError(fmt::format("--out: {}: it exists; with --predict this is a new file",
                                shown(options.out, std::string::npos)));
  }
  worker::check_can_write(options.out, false);
}

// The grid's or the command line's.
void check_machine(const std::string& machine) {
  if (machine == "auto" || machine == "none") {
    throw UserError(
        "--predict: by the rates of which machine? --machine FILE of `ferry bench calibrate`, or h100, h200, "
        "pcie");
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
  check_ways(line, options);
  options.cells =
      read_grid(options.grid, others, options.predict ? Models::FoldersAndNames : Models::Folders);
  if (options.predict) check_machine(machine_of(options));
}

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
  const Predict predict = prediction_by(machine_of(options));
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

worker::MachineRates rates_to_predict_with(const SweepOptions& options) {
  worker::MachineRates rates = worker::load_machine(machine_of(options));
  if (!options.vram_gib) return rates;
  if (!rates.gpu)
    throw UserError(fmt::format("--vram: {} has no GPUs, its ranks have the host's memory", rates.name));
  rates.device_gib = {.value = *options.vram_gib, .source = worker::RateSource::Assumed};
  rates.name += fmt::format(", {:g} GiB a GPU", *options.vram_gib);
  return rates;
}

int predict_sweep(SweepOptions& options) {
  start_log("warning", 0, 1);
  const worker::MachineRates rates = rates_to_predict_with(options);
  const std::vector<PlannedCell> cells =
      plan_sweep(std::move(options.cells), [&](const SweepCell& cell, const worker::StepFacts& facts) {
        return predicted_outcome(cell, facts, rates);
      });
  const std::vector<std::string> rows = prediction_rows(cells);
  if (!options.out.empty()) worker::publish(options.out, fmt::format("{}\n", fmt::join(rows, "\n")), false);
  say(prediction_table(rows));
  return 0;
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
      "several of it may share --out.  `ferry bench plot` draws the rows.\n"
      "--predict needs neither ranks nor GPUs; the model may be a name then, 1.3B or 14B.\n"
      "example: ferry bench sweep --grid FILE --machine h100 --predict --out predicted.jsonl\n";
  command.check = [options, groups = command.groups](const CommandLine& line, int) {
    check_sweep(line, groups, *options);
  };
  command.run = [options](int& argc, char**& argv) {
    if (is_rank_of_sweep()) return run_sweep_ranks(argc, argv, options->run.run);
    return options->predict ? predict_sweep(*options) : conduct_sweep(*options);
  };
  return command;
}

}  // namespace ferry::launcher
