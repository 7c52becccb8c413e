// How far a stage's load is, for whoever wants to see it and for the ranks that wait.
#pragma once

#include <mutex>

#include "offload/arena/loader.h"
#include "parallel/mpi/session.h"
#include "worker/record/progress.h"

namespace ferry::worker {

// Takes reports from the thread that loads, before anybody looks and while somebody does.
class LoadMeter {
 public:
  explicit LoadMeter(parallel::Session& session) : session_(session) {}
  // In hundredths of this rank's share; every new one keeps the ranks that are faster waiting.
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
