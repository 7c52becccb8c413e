// One video of an engine: computes it and writes its results.
#pragma once

#include <optional>

#include "base/clock.h"
#include "worker/engine.h"
#include "worker/record/progress.h"
#include "worker/state/stop_request.h"

namespace ferry::worker {

struct VideoRun {
  Clock::time_point begin;            // start of the work on it
  StopRequest* stop = nullptr;        // the request to stop early that this rank may get
  std::optional<BatchPlace> place{};  // of several videos, for progress
};

// Logs what will be done.  Call on the first rank.
void log_plan(const Engine& engine, const Prepared& prepared);
// Logs only from where the run goes on, if it does.
void log_resume(const Prepared& prepared);

// Makes the video and writes its results.  Returns the exit code, the same on every rank: 0, or kRequeueExit
// if a rank was asked to stop, once the state is on disk.
// Collective over the world.  Throws RunFailure, the same on every rank, when values stop being finite or the
// results cannot be written: then none is, and another video may be made.  Other exceptions may come from a
// single rank, and the caller aborts the job.
int make_video(Engine& engine, const Prepared& prepared, const VideoRun& run);

}  // namespace ferry::worker
