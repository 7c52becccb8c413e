// How the arena of one network is made.
#pragma once

#include <cstddef>

#include "model/weights.h"
#include "offload/arena/node_memory.h"
#include "offload/options.h"

namespace ferry::offload {

struct ArenaPlan {
  model::NetworkSpec spec;    // as the network asks for its tensors
  model::NetworkSpec stored;  // the same with the dtypes that the host keeps (sequential's offload_dtype)
  int weight_ranks = 1;       // P: ranks that share the copying of a block
  MemoryKind first = MemoryKind::Memfd;
  std::size_t file_bytes = std::size_t{64} << 20;  // a file of memfd memory has that many at least
};

// Throws UserError: options of a sequential stage that are wrong.
ArenaPlan arena_plan(const model::NetworkSpec& spec, const Options& options, int weight_ranks);

}  // namespace ferry::offload
