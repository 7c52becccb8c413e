#include "worker/batch/in_groups.h"

#include <string>
#include <tuple>
#include <utility>

#include "base/log.h"
#include "worker/state/meeting.h"
#include "worker/state/save_points.h"

namespace ferry::worker {

int InGroups::make_all() {
  if (first_of_all() && !left().empty()) {
    spdlog::info(
        "{} groups of {} rank{} make videos at the same time, from one copy of the weights on each node",
        session().groups(), session().size(), session().size() == 1 ? "" : "s");
  }
  parallel::Claims claims(session());
  for (std::size_t begin = 0; begin < left().size();) {
    const Round round = next_round(begin);
    begin_round(engine(), options(), round, store_);
    tell_loras();
    // From here on no rank ends on its own: another group may be in the middle of a video.
    begin_together(stop(), StopRequest::Phase::Stoppable, session(), session().everyone());
    claims.restart();
    session().ticks().work_in_group(session().group() + 1);
    bool stops = make_claimed(claims, begin, round.videos) == kRequeueExit;
    session().ticks().work_in_group(0);
    tell_outcomes();
    begin += round.videos;
    // Asked while it wrote the last video of the round.
    stops = stops || (begin < left().size() && stop_asked(stop(), session()));
    if (!session().everyone().all_agree(!stops)) {
      if (first_of_all()) spdlog::info("all groups have stopped; the same command goes on");
      return kRequeueExit;
    }
    // Behind the last round a request is too late: the program ends as if nobody had asked.
    if (begin < left().size()) begin_phase(stop(), StopRequest::Phase::NothingDone, session());
  }
  return 0;
}

// By this rank's group.
int InGroups::make_claimed(parallel::Claims& claims, std::size_t begin, std::size_t count) {
  while (true) {
    const std::string mine = first() ? std::to_string(claims.take()) : "";
    const std::size_t claimed = std::stoull(session().broadcast(mine, 0));
    if (claimed >= count) return 0;
    begin_phase(stop(), StopRequest::Phase::Stoppable, session());
    const bool stops = !session().all_agree(!stop_asked(stop(), session()));
    if (!stops && make(begin + claimed) == 0) continue;
    if (first()) claims.close();
    return kRequeueExit;
  }
}

Round InGroups::next_round(std::size_t begin) {
  Round round;
  TextRound text;
  if (first_of_all()) text = contexts().plan_from(begin, engine().networks(), session().groups());
  const nlohmann::json mine = {text.videos, !text.prompts.empty(), text.more_later};
  const auto shared =
      nlohmann::json::parse(session().everyone().broadcast(first_of_all() ? mine.dump() : "", 0));
  round.videos = shared[0].get<std::size_t>();
  round.encodes = shared[1].get<bool>();
  round.more_text = shared[2].get<bool>();
  round.prompts = std::move(text.prompts);
  for (const RoleEntry& entry : roles()) {
    for (std::size_t place = begin; place < left().size(); ++place) {
      if (!entry.needed(given_to(item(place).job))) continue;
      round.needed_by[entry.role] = &item(place).job;
      break;
    }
  }
  return round;
}

// The first group notes its own as they come.
void InGroups::tell_outcomes() {
  const nlohmann::json told = std::exchange(outcomes_, nlohmann::json::array());
  const std::string mine = told.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  for (const std::string& each : session().everyone().all_gather(mine)) {
    if (!first_of_all()) continue;
    for (const auto& [item, error, code] :
         nlohmann::json::parse(each).get<std::vector<std::tuple<std::size_t, std::string, int>>>()) {
      if (error.empty()) {
        ledger().note_made_elsewhere();
      } else {
        ledger().note_failure_elsewhere(item, error, code);
      }
    }
  }
}

// The round has encoded the prompts: no group needs the text encoder.
void InGroups::plan_text(Prepared& prepared, std::size_t /*place*/) {
  prepared.later[Role::TextEncoder] = false;
  prepared.text = {.store = first() ? &store_ : nullptr, .known = true, .ahead = {}};
}

void InGroups::note_made(std::size_t place, double seconds) {
  if (first_of_all()) {
    ledger().note_made(left()[place], seconds);
  } else if (first()) {
    outcomes_.push_back({left()[place], "", 0});
  }
}

void InGroups::note_failure(std::size_t place, const std::string& error, int exit_code) {
  if (first_of_all()) {
    ledger().note_failure(left()[place], error, exit_code);
  } else if (first()) {
    spdlog::error("{}: {}", title_of(item(place)), error);
    outcomes_.push_back({left()[place], error, exit_code});
  }
}

}  // namespace ferry::worker
