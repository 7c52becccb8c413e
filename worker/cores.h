// CPU threads while one rank works and the others sleep.
#pragma once

#include <optional>

#include "worker/spin_limit.h"

namespace ferry::worker {

// The threads of `ranks` ranks of this node together: as many times this rank's, up to the cores that this
// process may use.  For a stage that one rank runs alone.
int threads_of_ranks(int ranks);

// While it exists, LibTorch uses so many threads.
class ThreadScope {
 public:
  explicit ThreadScope(int threads);
  ~ThreadScope();
  ThreadScope(const ThreadScope&) = delete;
  ThreadScope& operator=(const ThreadScope&) = delete;

 private:
  int before_;
  std::optional<SpinLimit> spin_limit_;  // if the rank's own has no effect
};

}  // namespace ferry::worker
