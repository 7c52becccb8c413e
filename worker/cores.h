// CPU threads while one rank works and the others sleep.
#pragma once

#include <optional>

#include "worker/spin_limit.h"

namespace ferry::worker {

// While it exists, LibTorch uses the threads of all ranks of this node: `ranks` times its own, up to the
// cores this process may use.  For a stage that one rank runs alone.  With `ranks` 0 it uses one thread.
class AllCores {
 public:
  explicit AllCores(int ranks);
  ~AllCores();
  AllCores(const AllCores&) = delete;
  AllCores& operator=(const AllCores&) = delete;

 private:
  int before_;
  std::optional<SpinLimit> spin_limit_;  // if the rank's own has no effect
};

}  // namespace ferry::worker
