// CPU cores while one rank works and the others sleep.
#pragma once

#include <optional>

#include "worker/spin_limit.h"

namespace ferry::worker {

// While it lives, LibTorch uses the threads of all ranks of this node: `ranks` times its own, as far as the
// process may use that many cores.  For a stage that one rank runs alone.
class AllCores {
 public:
  explicit AllCores(int ranks);
  ~AllCores();
  AllCores(const AllCores&) = delete;
  AllCores& operator=(const AllCores&) = delete;

 private:
  int before_;
  std::optional<SpinLimit> spin_limit_;  // where the rank's own has nothing to limit
};

}  // namespace ferry::worker
