#include "worker/run.h"

#include "base/clock.h"
#include "base/host/exhausted.h"
#include "worker/make_video.h"

namespace ferry::worker {

int run(const Options& given, parallel::Session& session, StopRequest& stop) {
  const Clock::time_point begin = Clock::now();
  session.set_deadline(given.run.deadline_s);
  session.ticks().asked_to_stop(false);  // of a run before
  Engine engine(given, session);
  // Before the engine's destructors, which wait for the device and for NCCL.
  engine.rank().failed = [&](const std::exception& error) { session.abort(message_of(error)); };
  int code = 0;
  speak_first(engine.rank(), [&] {
    const Prepared prepared = engine.prepare(given.job);
    if (session.rank() == 0) log_plan(engine, prepared);
    if (given.run.dry_run) return;
    code = make_video(engine, prepared, {.begin = begin, .stop = &stop});
    engine.rank().ticks().begin(parallel::Stage::End);
  });
  return code;
}

}  // namespace ferry::worker
