#include "worker/batch/run_batch.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "base/clock.h"
#include "base/error.h"
#include "base/host/exhausted.h"
#include "base/host/memory_use.h"
#include "base/log.h"
#include "base/run_failure.h"
#include "base/text/shown.h"
#include "parallel/agree.h"
#include "worker/batch/ledger.h"
#include "worker/batch/survey.h"
#include "worker/batch/text_visits.h"
#include "worker/make_video.h"

namespace ferry::worker {
namespace {

// Part of the free host memory for encoded prompts.
constexpr std::size_t kPartForContexts = 16;

// Prompts of later videos, encoded with those of earlier ones.  On the first rank.
class SharedContexts {
 public:
  SharedContexts(const Batch& batch, const Ledger& ledger) : batch_(batch), ledger_(ledger) {}

  ContextStore& store() { return store_; }

  // Of the video at `place` in ledger.left().
  TextVisit plan(std::size_t place, const Networks& networks) const {
    const auto& text = networks.facts.text;
    const std::size_t each = text ? static_cast<std::size_t>(text->text_len * text->dim) * sizeof(float) : 0;
    const std::size_t limit =
        batch_.context_bytes > 0 ? batch_.context_bytes : host_memory().available_bytes / kPartForContexts;
    std::vector<Job> jobs;
    for (std::size_t i = place; i < ledger_.left().size(); ++i)
      jobs.push_back(ledger_.job(ledger_.left()[i]));
    return plan_visit(jobs, store_, each, limit);
  }

  // Drops those that no video after the one at `place` needs.
  void drop_done(std::size_t place) {
    std::set<std::string> needed;
    for (std::size_t i = place + 1; i < ledger_.left().size(); ++i) {
      const std::vector<std::string> prompts = prompts_to_encode(ledger_.job(ledger_.left()[i]));
      needed.insert(prompts.begin(), prompts.end());
    }
    store_.keep_only(needed);
  }

 private:
  const Batch& batch_;
  const Ledger& ledger_;
  ContextStore store_;
};

class BatchRun {
 public:
  BatchRun(Engine& engine, const Options& options, const Batch& batch, StopRequest& stop)
      : engine_(engine),
        session_(*engine.rank().session),
        options_(options),
        batch_(batch),
        stop_(stop),
        ledger_(batch, !options.run.dry_run),
        contexts_(batch, ledger_) {}

  int run() {
    look();
    for (std::size_t place = 0; place < left_.size(); ++place) {
      if (!session_.all_agree(!stop_.asked())) return stopped(place);
      stop_.enter(StopRequest::Phase::NothingDone);
      if (make(place) == kRequeueExit) return kRequeueExit;
      if (first()) contexts_.drop_done(place);
    }
    return finish();
  }

 private:
  bool first() const { return session_.rank() == 0; }
  const BatchItem& item(std::size_t place) const { return batch_.items[left_[place]]; }

  // Finds out what is left to do, on the first rank for all.
  void look() {
    const std::string left = parallel::from_rank_0(session_, [&] {
      ledger_.hold();
      ledger_.open(survey(engine_, batch_, !options_.run.dry_run));
      return nlohmann::json(ledger_.left()).dump();
    });
    left_ = nlohmann::json::parse(left).get<std::vector<std::size_t>>();
  }

  // Makes one video, or notes why it cannot be made.  Returns 0 or kRequeueExit.
  int make(std::size_t place) {
    const auto failed = [&](const std::exception& error, int exit_code) {
      if (first()) ledger_.note_failure(left_[place], error.what(), exit_code);
      return 0;
    };
    try {
      return make_or_throw(place);
    } catch (const UserError& error) {
      return failed(error, 2);
    } catch (const RunFailure& error) {
      return failed(error, 1);
    }
  }

  int make_or_throw(std::size_t place) {
    const Clock::time_point begin = Clock::now();
    Prepared prepared = engine_.prepare(item(place).job, item(place).echo);
    plan_weights(prepared, place);
    if (first()) announce(prepared, place);
    if (options_.run.dry_run) return 0;
    const BatchPlace at{.number = static_cast<int>(place) + 1,
                        .count = static_cast<int>(left_.size()),
                        .seconds_left = first() ? ledger_.seconds_left(place) : 0};
    const int code = make_video(engine_, prepared, {.begin = begin, .stop = &stop_, .place = at});
    if (code == 0 && first()) ledger_.note_made(left_[place], prepared.resumes ? 0 : seconds_since(begin));
    return code;
  }

  void announce(const Prepared& prepared, std::size_t place) {
    if (std::exchange(announced_, true)) {
      log_resume(prepared);
    } else {
      log_plan(engine_, prepared);
    }
    spdlog::info("video {} of {}: {}, {}", place + 1, left_.size(), title_of(item(place)),
                 shown(prepared.job.video, std::string::npos));
  }

  // Says which weights later videos need, and plans the visit of the text encoder.
  void plan_weights(Prepared& prepared, std::size_t place) {
    for (const RoleEntry& entry : roles()) {
      prepared.later[entry.role] =
          std::any_of(left_.begin() + static_cast<std::ptrdiff_t>(place) + 1, left_.end(),
                      [&](std::size_t i) { return entry.needed(given_to(batch_.items[i].job)); });
    }
    TextVisit visit;
    if (first()) visit = contexts_.plan(place, engine_.networks());
    const nlohmann::json mine = {visit.known, visit.more_later};
    const auto decided = nlohmann::json::parse(session_.broadcast(mine.dump(), 0));
    prepared.later[Role::TextEncoder] = decided[1].get<bool>();
    prepared.text = {.store = first() ? &contexts_.store() : nullptr,
                     .known = decided[0].get<bool>(),
                     .ahead = std::move(visit.ahead)};
  }

  int stopped(std::size_t place) const {
    if (first()) {
      spdlog::info("stopped between two videos: {} are left; the same command goes on", left_.size() - place);
    }
    return kRequeueExit;
  }

  int finish() {
    engine_.rank().ticks().begin(parallel::Stage::End);
    const std::string failure = session_.broadcast(first() ? ledger_.close() : "", 0);
    if (!failure.empty()) throw RunFailure(failure);
    return 0;
  }

  Engine& engine_;
  parallel::Session& session_;
  const Options& options_;
  const Batch& batch_;
  StopRequest& stop_;
  std::vector<std::size_t> left_;  // items to make
  Ledger ledger_;                  // on the first rank
  SharedContexts contexts_;        // on the first rank
  bool announced_ = false;
};

}  // namespace

int run_batch(const Options& options, const Batch& batch, parallel::Session& session, StopRequest& stop) {
  session.set_deadline(options.run.deadline_s);
  Engine engine(options, session);
  // Before the engine's destructors, which wait for the device and for NCCL.
  engine.rank().failed = [&](const std::exception& error) { session.abort(message_of(error)); };
  int code = 0;
  speak_first(engine.rank(), [&] { code = BatchRun(engine, options, batch, stop).run(); });
  return code;
}

}  // namespace ferry::worker
