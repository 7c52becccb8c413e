#include "worker/run.h"

#include <fmt/format.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory_use.h"
#include "base/run_failure.h"
#include "worker/generate.h"
#include "worker/not_finite.h"
#include "worker/output/files.h"
#include "worker/plan.h"
#include "worker/results.h"

namespace ferry::worker {
namespace {

RankRecord record_of(const Rank& rank, const Generation& made) {
  return {.rank = rank.session->rank(),
          .host = rank.session->host(),
          .device = rank.device->name(),
          .peak_rss_bytes = process_memory().peak_rss_bytes,
          .stages = made.stages};
}

// Every rank's record, on every rank.  Collective.
std::vector<RankRecord> gather_records(const Rank& rank, const Generation& made) {
  std::vector<RankRecord> records;
  for (const std::string& text : rank.session->all_gather(to_json(record_of(rank, made)))) {
    records.push_back(rank_record_from_json(text));
  }
  return records;
}

std::vector<std::pair<std::string, model::Quantization>> quantization_of(const Networks& networks) {
  std::vector<std::pair<std::string, model::Quantization>> found;
  const auto add = [&found](const Network& network) {
    const model::Quantization& quantization = network.checkpoint.quantization();
    if (quantization.any()) found.emplace_back(network.spec.name, quantization);
  };
  if (networks.text) add(*networks.text);
  add(networks.dit);
  add(networks.vae);
  return found;
}

// The spans of all ranks in one file.  Collective.
void write_trace(const std::string& path, const Rank& rank) {
  std::vector<std::vector<TraceSpan>> ranks;
  for (const std::string& text : rank.session->all_gather(to_text(rank.trace->spans()))) {
    ranks.push_back(spans_from_text(text));
  }
  if (rank.trace->dropped() > 0) {
    spdlog::warn("{}: the last {} spans of rank {} did not fit", path, rank.trace->dropped(),
                 rank.session->rank());
  }
  if (rank.is_first()) publish(path, perfetto_json(ranks), true);
}

void write_all(const Options& options, const Job& job, const Generation& made, RunFacts facts,
               Clock::time_point begin) {
  write_results(job, made);
  facts.total_s = seconds_since(begin);
  spdlog::info("denoise: {}", waits_text(facts.ranks));
  for (const StageRecord& stage : facts.ranks[0].stages) {
    spdlog::info("{}: device memory at most {}", stage.name, memory_text(stage));
  }
  publish(job.sidecar, sidecar_json(options, job, facts), job.overwrite);
  spdlog::info("{} ({} frames of {}x{}, {}), {}, {}: {:.1f} s", job.video, job.frames, job.width, job.height,
               job.codec.encoder, job.sheet, job.sidecar, facts.total_s);
}

// What stays of a run whose values stopped being finite, on the first rank: where --save says, the last
// latents that were finite.  Says it.
std::string kept(const Job& job, const Generation& made, const NotFinite& error) {
  if (job.save.empty() || !made.latents.defined()) return "; nothing was written";
  const std::string whose = error.whose().empty() ? "the latents" : error.whose();
  try {
    write_tensors(job, made);
    return fmt::format("; {}, the last that were finite, are in {}", whose, job.save);
  } catch (const Error& failed) {
    return fmt::format("; {} could not be kept: {}", whose, failed.what());
  }
}

Generation generated(const Options& options, Prepared& prepared, Progress& progress) {
  Generation made;
  try {
    generate(options, prepared, progress, made);
  } catch (const NotFinite& error) {
    const Rank& rank = *prepared.rank;
    const std::string text = rank.is_first() ? error.what() + kept(prepared.job, made, error) : "";
    throw RunFailure(rank.session->broadcast(text, 0));
  }
  return made;
}

void log_plan(const Options& options, const Prepared& prepared) {
  for (const std::string& note : prepared.networks.notes) spdlog::warn("{}", note);
  spdlog::info("{}", plan_text(options, prepared));
}

}  // namespace

int run(const Options& given, parallel::Session& session) {
  const Clock::time_point begin = Clock::now();
  session.set_deadline(given.run.deadline_s);
  Prepared prepared = prepare(given, session);
  const Options& options = prepared.options;
  const bool first = session.rank() == 0;
  if (first) log_plan(options, prepared);
  if (options.run.dry_run) return 0;
  Progress progress = first ? Progress::on_stderr() : Progress();
  const Generation made = generated(options, prepared, progress);
  RunFacts facts{.ranks = gather_records(*prepared.rank, made),
                 .mesh = prepared.rank->mesh,
                 .backend = prepared.rank->groups.data_root->backend(),
                 .model_folder = prepared.networks.folder,
                 .notes = prepared.networks.notes,
                 .total_s = 0,
                 .quantization = quantization_of(prepared.networks),
                 .lora = prepared.networks.dit.lora ? &*prepared.networks.dit.lora : nullptr};
  if (prepared.rank->trace != nullptr) write_trace(options.trace_file, *prepared.rank);
  session.send_sign_of_life();
  if (first) write_all(options, prepared.job, made, std::move(facts), begin);
  return 0;
}

}  // namespace ferry::worker
