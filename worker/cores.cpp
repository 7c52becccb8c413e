#include "worker/cores.h"

#include <ATen/Parallel.h>

#include <algorithm>

#include "parallel/binding.h"

namespace ferry::worker {

int threads_of_ranks(int ranks) {
  const int own = at::get_num_threads();
  return std::max(own, std::min(own * ranks, parallel::usable_cores()));
}

ThreadScope::ThreadScope(int threads) : before_(at::get_num_threads()) {
  at::set_num_threads(threads);
  if (before_ == 1 && threads > 1) spin_limit_.emplace();
}

ThreadScope::~ThreadScope() { at::set_num_threads(before_); }

}  // namespace ferry::worker
