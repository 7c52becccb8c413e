#include "worker/cores.h"

#include <ATen/Parallel.h>

#include <algorithm>

#include "parallel/binding.h"

namespace ferry::worker {

AllCores::AllCores(int ranks) : before_(at::get_num_threads()) {
  const int wanted = std::max(before_, std::min(before_ * ranks, parallel::usable_cores()));
  at::set_num_threads(ranks == 0 ? 1 : wanted);
  if (before_ == 1 && ranks != 0) spin_limit_.emplace();
}

AllCores::~AllCores() { at::set_num_threads(before_); }

}  // namespace ferry::worker
