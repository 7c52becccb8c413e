#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <limits>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/clock.h"
#include "base/error.h"
#include "base/files/pending_file.h"
#include "base/text/shown.h"
#include "bench/calibrate.h"
#include "launcher/command.h"
#include "launcher/commands/generate.h"
#include "launcher/options/paths.h"
#include "launcher/options/value.h"
#include "launcher/process/age.h"
#include "launcher/process/streams.h"
#include "launcher/ranks.h"
#include "parallel/agree.h"
#include "worker/cores.h"
#include "worker/rank.h"
#include "worker/stages/attention.h"

namespace ferry::launcher {
namespace {

struct CalibrateOptions {
  std::string out;
  std::string device = "auto";
  DType compute = DType::BF16;
  worker::RunOptions run;
};

worker::MachineRates known_machine(const CalibrateOptions& options) {
  if (!std::filesystem::exists(options.out)) return {};
  return worker::load_machine(options.out);
}

void check_writable(const std::string& path) {
  try {
    const PendingFile trial(path);
  } catch (const FileError& error) {
    throw UserError(fmt::format("--out: {}", error.what()));
  }
}

// Rates of another device, or another type, stay what they are.
void refuse_other_machine(const CalibrateOptions& options, const std::string& device) {
  const worker::MachineRates known = known_machine(options);
  const std::string_view dtype = name_of(options.compute);
  if (known.by_ranks.empty() || (known.device == device && known.dtype == dtype)) return;
  throw UserError(
      fmt::format("--out: {} has rates of {} in {}, and these are of {} in {}; accepted: another file, or "
                  "without that one",
                  shown(options.out, std::string::npos), shown(known.device), known.dtype, device, dtype));
}

bench::Probe probe_of(worker::Rank& rank, DType compute, parallel::Session& session) {
  bench::Probe probe{.device = *rank.device, .compute = compute, .attention = rank.attention};
  probe.ranks = session.size();
  if (probe.ranks == 1) return probe;
  probe.group = rank.groups.ulysses.get();
  probe.traffic_stream = &rank.exchange_stream();
  probe.meet = [&session] { session.barrier(); };
  probe.slowest = [&session](double mine) {
    double most = mine;
    for (const std::string& text : session.all_gather(nlohmann::json(mine).dump()))
      most = std::max(most, nlohmann::json::parse(text).get<double>());
    return most;
  };
  return probe;
}

// What one rank measures while the others wait: the machine, and the section of one rank where there is none.
void measure_alone(worker::MachineRates& machine, std::vector<worker::RankRates>& sections,
                   const bench::Probe& of_all, double init_s, parallel::Session& session) {
  const bench::Probe alone{.device = of_all.device, .compute = of_all.compute, .attention = of_all.attention};
  const worker::ThreadScope all_cores(worker::threads_of_ranks(session.node_size()));
  machine = bench::measure_machine(alone, init_s);
  machine.node_ranks = std::max(session.node_size(), cuda_device_count());
  const bool known = std::ranges::any_of(sections, [](const auto& each) { return each.ranks == 1; });
  if (!known && of_all.ranks > 1) sections.push_back(bench::measure_rank_rates(alone));
}

void put_section(std::vector<worker::RankRates>& sections, const worker::RankRates& section) {
  std::erase_if(sections, [&](const auto& each) { return each.ranks == section.ranks; });
  sections.push_back(section);
  std::ranges::sort(sections, {}, &worker::RankRates::ranks);
}

std::string summary_of(const worker::RankRates& rates, const std::string& path, double seconds) {
  return fmt::format(
      "{} rank{}: products {:.3f} to {:.3f} TFLOP/s, attention {:.3f} to {:.3f}, passes {:.1f} GB/s, link "
      "{:.2f} "
      "GB/s\nmeasured in {:.0f} s; {}\n",
      rates.ranks, rates.ranks == 1 ? "" : "s",
      std::ranges::min(rates.linear, {}, [](auto& r) { return r.tflops.value; }).tflops.value,
      std::ranges::max(rates.linear, {}, [](auto& r) { return r.tflops.value; }).tflops.value,
      std::ranges::min(rates.attention, {}, [](auto& r) { return r.tflops.value; }).tflops.value,
      std::ranges::max(rates.attention, {}, [](auto& r) { return r.tflops.value; }).tflops.value,
      rates.pass_gbps.value, rates.link_gbps.value, seconds, path);
}

int calibrate(const CalibrateOptions& options, parallel::Session& session) {
  const parallel::Mesh mesh = parallel::make_mesh({.cfg = parallel::CfgMode::Paired}, session.size(),
                                                  session.rank(), std::numeric_limits<int>::max());
  const std::unique_ptr<worker::Rank> rank = worker::make_rank(worker::make_device(options.device, session),
                                                               mesh, parallel::ExchangeBy::Auto, session);
  parallel::from_rank_0(session, [&] {
    refuse_other_machine(options, rank->device->name());
    return std::string();
  });
  constexpr int kHeadDim = 128;
  rank->attention = worker::choose_attention({}, options.compute, kHeadDim, *rank->device, session);
  const Clock::time_point begin = Clock::now();
  const double init_s = process_age_s();
  const bench::Probe probe = probe_of(*rank, options.compute, session);
  const worker::RankRates section = bench::measure_rank_rates(probe);
  if (rank->is_first()) {
    worker::MachineRates machine = known_machine(options);
    std::vector<worker::RankRates> sections = machine.by_ranks;
    measure_alone(machine, sections, probe, init_s, session);
    put_section(sections, section);
    machine.by_ranks = sections;
    machine.name = std::filesystem::path(options.out).stem().string();
    write_file(options.out, worker::to_json(machine) + "\n");
    say(summary_of(section, options.out, seconds_since(begin)));
  }
  session.barrier();
  return 0;
}

std::vector<FlagGroup> calibrate_keys(CalibrateOptions& options) {
  const auto out = [&options](const std::string& flag, const std::string& value) {
    if (value.empty()) throw UserError(flag + ": the value is empty");
    options.out = expand_home(value);
  };
  const auto device = [&options](const std::string& flag, const std::string& value) {
    const std::vector<std::string> words = {"auto", "cpu", "cuda"};
    options.device = words[to_choice(flag, value, words)];
  };
  const auto dtype = [&options](const std::string& flag, const std::string& value) {
    options.compute = to_choice(flag, value, {"bf16", "fp32"}) == 0 ? DType::BF16 : DType::F32;
  };
  return {{"[calibrate]",
           {{"out", "", "FILE", "machine file to write, or to add these ranks to", "", false, out},
            {"device", "", "NAME", "auto, cpu, cuda", "auto", false, device},
            {"dtype", "", "TYPE", "of the products: bf16, fp32", "bf16", false, dtype}}}};
}

}  // namespace

Command make_bench_calibrate() {
  const auto options = std::make_shared<CalibrateOptions>();
  Command command{"bench calibrate", "measures this machine's rates, for ferry plan", "--out FILE [-n N]",
                  calibrate_keys(*options)};
  command.takes_ranks = true;
  command.more_help =
      "Once for each number of ranks that is planned with: each call adds its section to FILE.  No model is "
      "needed.\n";
  command.check = [options](const CommandLine& line, int) {
    refuse_positional(line);
    for (const Setting& setting : line.settings) setting.flag->set(setting.written, setting.value);
    if (options->out.empty()) throw UserError("bench calibrate: where to? --out FILE");
    known_machine(*options);  // a file of another kind is not overwritten
    check_writable(options->out);
  };
  command.run = [options](int& argc, char**& argv) {
    return run_ranks(argc, argv, options->run,
                     [&](parallel::Session& session) { return calibrate(*options, session); });
  };
  return command;
}

}  // namespace ferry::launcher
