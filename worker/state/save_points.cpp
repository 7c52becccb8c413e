#include "worker/state/save_points.h"

#include "base/files/pending_file.h"
#include "base/log.h"
#include "parallel/agree.h"
#include "worker/state/meeting.h"

namespace ferry::worker {

void SavePoints::begin() {
  if (stop_ != nullptr) begin_together(*stop_, StopRequest::Phase::Stoppable, session_, session_.world());
}

bool stop_asked(const StopRequest& stop, parallel::Session& session) {
  if (stop.asked()) session.ticks().asked_to_stop(true);
  return stop.asked() || session.a_rank_was_asked_to_stop();
}

bool SavePoints::stop_agreed() const { return stop_ != nullptr && !session_.all_agree(!stop_asked()); }

void SavePoints::between_steps(int steps_done, const State& state) {
  if (stop_agreed()) stop(state);
  if (unfinished_ == nullptr || every_ == 0 || steps_done % every_ != 0) return;
  try {
    unfinished_->save(state());
  } catch (const FileError& error) {
    spdlog::warn("the state: {}", error.what());
  }
}

void SavePoints::stop(const State& state) {
  parallel::fail_together(world_peers(session_), [&] {
    if (unfinished_ != nullptr) unfinished_->save(state());
  });
  throw Stopped();
}

}  // namespace ferry::worker
