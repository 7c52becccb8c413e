#include "worker/make_video.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <exception>
#include <functional>
#include <utility>

#include "base/clock.h"
#include "base/error.h"
#include "base/host/exhausted.h"
#include "base/host/memory_use.h"
#include "base/log.h"
#include "base/run_failure.h"
#include "base/text/shown.h"
#include "worker/generate.h"
#include "worker/job/latents.h"
#include "worker/job/plan.h"
#include "worker/job/without_effect.h"
#include "worker/output/encoding.h"
#include "worker/output/files.h"
#include "worker/record/results.h"
#include "worker/stages/not_finite.h"
#include "worker/state/meeting.h"
#include "worker/state/save_points.h"

namespace ferry::worker {
namespace {

std::string in_log(const std::string& path) { return shown(path, std::string::npos); }

RankRecord record_of(const Rank& rank, const Generation& made) {
  return {.rank = rank.session->rank(),
          .host = rank.session->host(),
          .device = rank.device->name(),
          .peak_rss_bytes = process_memory().peak_rss_bytes,
          .stages = made.stages};
}

// Gathers every rank's record on every rank.  Collective.
std::vector<RankRecord> gather_records(const Rank& rank, const Generation& made) {
  std::vector<RankRecord> records;
  for (const std::string& text : rank.session->all_gather(to_json(record_of(rank, made)))) {
    records.push_back(rank_record_from_json(text));
  }
  return records;
}

std::vector<std::pair<std::string, checkpoint::Quantization>> quantization_of(const Networks& networks,
                                                                              const Job& job) {
  std::vector<std::pair<std::string, checkpoint::Quantization>> found;
  for (const RoleEntry& entry : roles_in_turn()) {
    const Network* network = needed_network(networks, entry.role, given_to(job));
    if (network == nullptr) continue;
    const checkpoint::Quantization& quantization = network->checkpoint.quantization();
    if (quantization.any()) found.emplace_back(entry.name, quantization);
  }
  return found;
}

// Gathers the timeline of all ranks on every rank.  Collective.
std::string gather_trace(const std::string& path, const Rank& rank) {
  std::vector<std::vector<TraceSpan>> ranks;
  for (const std::string& text : rank.session->all_gather(to_text(rank.trace->spans()))) {
    ranks.push_back(spans_from_text(text));
  }
  if (rank.trace->dropped() > 0) {
    spdlog::warn("{}: the last {} spans of rank {} did not fit", in_log(path), rank.trace->dropped(),
                 rank.session->rank());
  }
  return rank.is_first() ? perfetto_json(ranks) : "";
}

void write_all(const Options& options, const Job& job, const Generation& made, RunFacts& facts,
               const std::function<void()>& at_work) {
  const bool denoised = facts.ranks[0].stages.size() > 1;
  if (denoised) spdlog::info("denoise: {}", waits_text(facts.ranks));
  for (const StageRecord& stage : facts.ranks[0].stages) {
    spdlog::info("{}: device memory at most {}", stage.name, memory_text(stage));
  }
  write_results(options, job, made, facts, at_work);
  spdlog::info("{} ({} frames of {}x{}, {}), {}, {}: {:.1f} s", in_log(job.video), job.frames, job.width,
               job.height, job.codec.encoder, in_log(job.sheet), in_log(job.record), facts.total_s);
}

// For a run whose values stopped being finite, on the first rank: saves the last finite latents to --save,
// and describes them.
std::string saved(const Job& job, const Generation& made, const NotFinite& error) {
  if (job.save.empty() || !made.latents.defined()) return "";
  const std::string what =
      error.whose().empty() ? "the latents" : fmt::format("the last finite latents ({})", error.whose());
  try {
    write_tensors(job, made);
    return fmt::format("; {} are in {}", what, job.save);
  } catch (const Error& failed) {
    return fmt::format("; {} could not be kept: {}", what, failed.what());
  }
}

std::string what_stays(const Job& job, const Generation& made, const NotFinite& error, KeptLatents& kept) {
  const std::string text = saved(job, made, error) + kept.way_on();
  return text.empty() ? "; nothing was written" : text;
}

// While it exists, `says` hears of a failure of this rank alone (worker/rank.h, speak_first).
class Listening {
 public:
  Listening(Rank& rank, std::function<void(const std::exception&)> says)
      : rank_(rank), before_(std::exchange(rank.failed, std::move(says))) {}
  ~Listening() { rank_.failed = before_; }
  Listening(const Listening&) = delete;
  Listening& operator=(const Listening&) = delete;
  void pass_on(const std::exception& error) const {
    if (before_) before_(error);
  }

 private:
  Rank& rank_;
  std::function<void(const std::exception&)> before_;
};

Generation generated(Engine& engine, const Prepared& prepared, KeptLatents& kept, Encoding& encoding,
                     const VideoRun& run) {
  Rank& rank = engine.rank();
  const bool keeps = rank.is_first() && prepared.job.latents.empty();
  // Of several groups of ranks the first one shows its progress.
  const bool shows = rank.is_first() && rank.session->group() == 0;
  Progress progress = shows ? Progress::on_stderr() : Progress();
  if (run.place) progress.set_place(*run.place);
  const Listening listening(rank, [&](const std::exception& error) {
    progress.give_up();
    listening.pass_on(error);
  });
  Generation made;
  try {
    const auto keep = [&](const at::Tensor& latents) {
      if (keeps) kept.keep(latents);
    };
    generate(engine, prepared, progress, made,
             {.before_decode = keep,
              .frames_made = [&](const at::Tensor& frames) { encoding.take(frames); },
              .stop = run.stop});
  } catch (const NotFinite& error) {
    const std::string text =
        rank.is_first() ? error.what() + what_stays(prepared.job, made, error, kept) : "";
    throw RunFailure(rank.session->broadcast(text, 0));
  } catch (const std::exception&) {
    progress.give_up();
    throw;
  }
  return made;
}

// Steps done by the process before, on the first rank.
int steps_before(const Prepared& prepared) {
  const UnfinishedRun* unfinished = prepared.unfinished.get();
  return unfinished != nullptr && unfinished->found() ? unfinished->sampling().steps_done() : 0;
}

// Runs `write` on the first rank.  A file that cannot be written is the failure of this video, on every rank,
// after which another may be made.  Collective over the world.
void fail_together_if_not_written(Rank& rank, KeptLatents& kept, const std::function<void()>& write) {
  std::string failure;
  if (rank.is_first()) {
    try {
      write();
    } catch (const SystemError& error) {
      failure = fmt::format("write: {}{}", error.what(), kept.way_on());
    }
  }
  failure = rank.session->broadcast(failure, 0);
  if (failure.empty()) return;
  rank.janitor.finish();
  throw RunFailure(failure);
}

// Computes the video and writes the results.
void compute_and_write(Engine& engine, const Prepared& prepared, KeptLatents& kept, const VideoRun& run) {
  const Options& options = prepared.options;
  Rank& rank = engine.rank();
  const Networks& networks = engine.networks();
  const Job& job = prepared.job;
  const Network* dit = needed_network(networks, Role::Dit, given_to(job));
  Encoding encoding({.width = static_cast<int>(job.width),
                     .height = static_cast<int>(job.height),
                     .fps = job.fps,
                     .scale = job.out_scale},
                    job.codec);
  Generation made = generated(engine, prepared, kept, encoding, run);
  begin_together(*run.stop, StopRequest::Phase::Finishing, *rank.session, rank.session->world());
  RunFacts facts{.ranks = gather_records(rank, made),
                 .mesh = rank.mesh,
                 .backend = rank.backend(),
                 .attention = attention_name(engine, job),
                 .model_folder = networks.folder,
                 .notes = networks.notes,
                 .begin = run.begin,
                 .quantization = quantization_of(networks, job),
                 .loras = dit != nullptr ? dit->loras : nullptr,
                 .cfg = prepared.cfg,
                 .steps_before = steps_before(prepared)};
  const std::string trace = rank.trace != nullptr ? gather_trace(options.trace_file, rank) : "";
  const auto at_work = [&rank] { rank.session->send_heartbeat(); };
  at_work();
  if (!rank.is_first()) rank.begin(parallel::Stage::Write);
  fail_together_if_not_written(rank, kept, [&] {
    rank.begin(parallel::Stage::Encode);
    made.video = encoding.finish(at_work);
    rank.begin(parallel::Stage::Write);
    write_all(options, job, made, facts, at_work);
    kept.remove();
    if (prepared.unfinished != nullptr) prepared.unfinished->remove();
    if (!trace.empty()) publish(options.trace_file, trace, true);
  });
  rank.janitor.finish();
}

}  // namespace

void log_resume(const Prepared& prepared) {
  if (!prepared.resumes) return;
  const int done = steps_before(prepared);
  const int steps = prepared.job.steps;
  spdlog::info("resuming at step {} of {}{}, from {}", std::min(done + 1, steps), steps,
               done == steps ? ", all steps done" : "", in_log(prepared.unfinished->path()));
}

void log_plan(const Engine& engine, const Prepared& prepared) {
  for (const std::string& note : engine.networks().notes) spdlog::warn("{}", note);
  spdlog::info("{}", plan_text(engine, prepared));
  log_resume(prepared);
  const std::vector<std::string> keys = options_without_effect(prepared.options, prepared.job);
  if (keys.empty()) return;
  const char* why = prepared.job.latents.empty() ? "" : "only the VAE runs; ";
  spdlog::info("{}without effect here: {}", why, fmt::join(keys, ", "));
}

int make_video(Engine& engine, const Prepared& prepared, const VideoRun& run) {
  Rank& rank = engine.rank();
  KeptLatents kept(prepared.options, prepared.job, prepared.names);
  // A failure says how to go on from the latents.
  const Listening listening(
      rank, [&](const std::exception& error) { rank.session->abort(message_of(error) + kept.way_on()); });
  try {
    compute_and_write(engine, prepared, kept, run);
  } catch (const RunFailure&) {
    throw;
  } catch (const Stopped&) {
    kept.remove();  // the state has the latents
    return kRequeueExit;
  } catch (const std::exception& error) {
    const std::string way_on = kept.way_on();
    if (way_on.empty()) throw;
    // Not a UserError: the input was valid.
    throw Error(message_of(error) + way_on);
  }
  return 0;
}

}  // namespace ferry::worker
