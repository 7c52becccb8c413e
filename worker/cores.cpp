#include "worker/cores.h"

#include <ATen/Parallel.h>

#include <algorithm>

#include "parallel/binding.h"

namespace ferry::worker {

AllCores::AllCores(int ranks) : before_(at::get_num_threads()) {
  at::set_num_threads(std::max(before_, std::min(before_ * ranks, parallel::usable_cores())));
  if (before_ == 1) spin_limit_.emplace();
}

AllCores::~AllCores() { at::set_num_threads(before_); }

}  // namespace ferry::worker
