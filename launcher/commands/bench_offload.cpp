#include <fmt/format.h>

#include "bench/decode.h"
#include "bench/offload.h"
#include "launcher/commands/bench_networks.h"
#include "launcher/process/streams.h"
#include "offload/arena/arena.h"
#include "worker/rank.h"
#include "worker/stages/attention.h"

namespace ferry::launcher {
namespace {

// Transports and shares to measure.
std::vector<offload::Options> ways_of(const BenchOptions& options) {
  std::vector<offload::Options> ways;
  for (const offload::Transport transport : options.transports) {
    ways.push_back(options.run.offload[worker::Role::Dit]);
    ways.back().transport = transport;
  }
  for (const double share : options.shares) {
    ways.push_back(options.run.offload[worker::Role::Dit]);
    ways.back().transport = offload::Transport::Auto;
    ways.back().share = share;
  }
  return ways;
}

// Adds all combinations of async's settings.
void add_async(const BenchOptions& options, std::vector<offload::Options>& variants) {
  for (const offload::Options& way : ways_of(options)) {
    for (const int prefetch : options.prefetches) {
      for (const double ratio : options.ratios) {
        offload::Options variant = way;
        variant.type = offload::StrategyKind::Async;
        variant.prefetch_size = prefetch;
        variant.offload_ratio = ratio;
        variants.push_back(variant);
      }
    }
  }
}

std::vector<offload::Options> variants_of(const BenchOptions& options) {
  std::vector<offload::Options> variants;
  for (const offload::StrategyKind type : options.types) {
    if (type == offload::StrategyKind::Async) {
      add_async(options, variants);
      continue;
    }
    variants.push_back(options.run.offload[worker::Role::Dit]);
    variants.back().type = type;
  }
  return variants;
}

bench::OffloadCase case_of(const BenchOptions& options, const model::DitConfig& config) {
  const worker::JobOptions& job = options.run.job;
  return {.config = config,
          .width = job.width.value_or(kBenchWidth),
          .height = job.height.value_or(kBenchHeight),
          .frames = job.frames.value_or(kBenchFrames),
          .branches = options.branches,
          .paired = options.run.parallel.cfg != parallel::CfgMode::Serial,
          .variants = variants_of(options),
          .samples = options.samples};
}

std::string row_of(const bench::OffloadResult& r) {
  return fmt::format(
      "{:>10} {:>6.2f} {:>8} {:>9} {:>6.2f} {:>9.4f} {:>10.4f} {:>7.3f} {:>9.4f} {:>9.4f} {:>7.3f} {:>9.4f} "
      "{:>8.3f} {:>6.1f} {:>8.3f}\n",
      name_of(r.report.type), r.options.offload_ratio, r.options.prefetch_size, name_of(r.report.transport),
      r.report.share, bench::median(r.step_seconds), bench::median(r.alone_seconds), r.step_over_resident(),
      r.bound_seconds(), r.link_seconds, r.step_over_bound(), bench::median(r.exposed_seconds),
      1e-9 * r.bytes_per_step, r.copy_gbps, 1e-9 * static_cast<double>(r.peak_bytes));
}

void print(const bench::OffloadCase& what, const std::vector<bench::OffloadResult>& results,
           const worker::Rank& rank, bool json) {
  std::string text = fmt::format(
      "{:>10} {:>6} {:>8} {:>9} {:>6} {:>9} {:>10} {:>7} {:>9} {:>9} {:>7} {:>9} {:>8} {:>6} {:>8}\n", "type",
      "ratio", "prefetch", "transport", "share", "step s", "resident s", "/ res.", "bound s", "link s",
      "/ bound", "exposed s", "GB/step", "GB/s", "peak GB");
  if (json) text.clear();
  for (const bench::OffloadResult& result : results)
    text += json ? with_versions(to_json(what, result), rank) : row_of(result);
  say(text);
}

}  // namespace

int bench_offload(const BenchOptions& options, parallel::Session& session) {
  const worker::Networks networks = open_network(worker::Role::Dit, options.run, session);
  const worker::Network& dit = networks[worker::Role::Dit].value();
  const model::DitConfig& config = networks.facts.dit;
  const parallel::Mesh mesh = parallel::make_mesh(options.run.parallel, session.size(), session.rank(),
                                                  static_cast<int>(config.heads));
  const std::unique_ptr<worker::Rank> rank = worker::make_rank(
      worker::make_device(options.run.model.device, session), mesh, options.run.parallel.exchange, session);
  rank->attention =
      worker::choose_attention(options.run.attention, dit.compute, config.head_dim(), *rank->device, session);
  const auto arena =
      offload::load_arena({dit.checkpoint}, dit.plan.arena, offload::node_ranks(session, *rank->device), {});
  if (dit.plan.pin) arena->pin(*rank->device);
  const bench::OffloadCase what = case_of(options, config);
  const std::vector<bench::OffloadResult> results =
      bench::measure_offload(what, *arena, rank->stage_setup(), rank->dit_runtime(dit.compute));
  if (session.rank() == 0) print(what, results, *rank, options.json);
  return 0;
}

}  // namespace ferry::launcher
