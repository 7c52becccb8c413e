#include "worker/batch/batch_run.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/run_failure.h"
#include "base/text/shown.h"
#include "parallel/agree.h"
#include "worker/batch/survey.h"
#include "worker/job/plan.h"
#include "worker/make_video.h"

namespace ferry::worker {

BatchRun::BatchRun(Engine& engine, const Options& options, const Batch& batch, StopRequest& stop)
    : engine_(engine),
      session_(*engine.rank().session),
      options_(options),
      batch_(batch),
      stop_(stop),
      ledger_(batch, !options.run.dry_run),
      contexts_(batch, ledger_) {}

int BatchRun::run() {
  look();
  if (make_all() == kRequeueExit) return kRequeueExit;
  return finish();
}

// Finds out what is left to do, on the first rank for all.
void BatchRun::look() {
  parallel::Control& everyone = session_.everyone();
  fail_together(peers_of(everyone), [&] {
    if (!first_of_all()) return;
    ledger_.hold();
    ledger_.open(survey(engine_, batch_, !options_.run.dry_run));
    contexts_.open();
  });
  const std::string left = everyone.broadcast(nlohmann::json(ledger_.left()).dump(), 0);
  left_ = nlohmann::json::parse(left).get<std::vector<std::size_t>>();
}

int BatchRun::make(std::size_t place) {
  try {
    return make_or_throw(place);
  } catch (const UserError& error) {
    note_failure(place, error.what(), 2);
  } catch (const RunFailure& error) {
    note_failure(place, error.what(), 1);
  }
  return 0;
}

int BatchRun::make_or_throw(std::size_t place) {
  const Clock::time_point begin = Clock::now();
  Prepared prepared = engine_.prepare(item(place).job, item(place).echo);
  for (const RoleEntry& entry : roles()) {
    prepared.later[entry.role] =
        std::any_of(left_.begin() + static_cast<std::ptrdiff_t>(place) + 1, left_.end(),
                    [&](std::size_t i) { return entry.needed(given_to(batch_.items[i].job)); });
  }
  plan_text(prepared, place);
  if (first()) announce(prepared, place);
  if (options_.run.dry_run) return 0;
  const BatchPlace at{.number = static_cast<int>(place) + 1,
                      .count = static_cast<int>(left_.size()),
                      .seconds_left = first_of_all() ? ledger_.seconds_left(place, session_.groups()) : 0};
  const int code = make_video(engine_, prepared, {.begin = begin, .stop = &stop_, .place = at});
  if (code == 0) note_made(place, prepared.resumes ? 0 : seconds_since(begin));
  return code;
}

void BatchRun::announce(const Prepared& prepared, std::size_t place) {
  if (std::exchange(announced_, true) || !first_of_all()) {
    tell_loras();
    log_resume(prepared);
  } else {
    log_plan(engine_, prepared);
    loras_ = loras_text(engine_.networks());
  }
  spdlog::info("video {} of {}: {}, {}", place + 1, left_.size(), title_of(item(place)),
               shown(prepared.job.video, std::string::npos));
}

void BatchRun::tell_loras() {
  if (!first_of_all()) return;
  const std::string text = loras_text(engine_.networks());
  if (text == std::exchange(loras_, text)) return;
  spdlog::info("LoRAs from here on:{}", text.empty() ? " none" : text);
}

int BatchRun::finish() {
  engine_.rank().ticks().begin(parallel::Stage::End);
  const std::string failure = session_.everyone().broadcast(first_of_all() ? ledger_.close() : "", 0);
  if (!failure.empty()) throw RunFailure(failure);
  return 0;
}

}  // namespace ferry::worker
