// Progress of a stage's load, for display and as heartbeats.
#pragma once

#include <mutex>

#include "offload/arena/loader.h"
#include "parallel/mpi/session.h"
#include "worker/record/progress.h"

namespace ferry::worker {

// Accepts reports from the loading thread, before and during display.
class LoadMeter {
 public:
  explicit LoadMeter(parallel::Session& session) : session_(session) {}
  // Reports progress in percent and sends heartbeats so that ranks already done do not time out.
  void note(const offload::LoadProgress& load);
  // From now on `progress`, whose stage has begun with a total of 100, follows, and its heartbeat keeps the
  // others waiting; nullptr: nobody.
  void show(Progress* progress);

 private:
  void catch_up();
  parallel::Session& session_;
  std::mutex mutex_;
  Progress* progress_ = nullptr;
  int done_ = 0;
  int shown_ = 0;
};

}  // namespace ferry::worker
