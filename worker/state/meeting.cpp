#include "worker/state/meeting.h"

#include <chrono>
#include <thread>

namespace ferry::worker {

void begin_phase(StopRequest& stop, StopRequest::Phase next, parallel::Session& session) {
  if (stop.enter(next)) return;
  const parallel::Ticks::Wait wait(&session.ticks());
  while (true) std::this_thread::sleep_for(std::chrono::seconds(1));
}

void begin_together(StopRequest& stop, StopRequest::Phase next, parallel::Session& session,
                    parallel::Control& ranks) {
  if (stop.nothing_done()) {
    begin_phase(stop, StopRequest::Phase::Meeting, session);
    ranks.barrier();
  }
  begin_phase(stop, next, session);
}

}  // namespace ferry::worker
