// Plan of one network's host copy.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "model/weights.h"
#include "offload/arena/layout.h"
#include "offload/arena/node_memory.h"

namespace ferry::offload {

// Another setting, and its host memory.
struct HostAlternative {
  std::string setting;
  std::size_t bytes = 0;
};

struct ArenaPlan {
  model::NetworkSpec spec;                  // tensors as the network wants them
  model::NetworkSpec stored;                // as above, with the dtypes kept on the host
  ArenaLayout layout;                       // of `stored`
  int weight_ranks = 1;                     // P: ranks that share the copies of a block
  std::vector<int> divided{};               // blocks that ranks at first copy in shares (pin_order.h)
  std::vector<HostAlternative> narrower{};  // settings that need less memory
  MemoryKind first = MemoryKind::Memfd;
  std::size_t file_bytes = std::size_t{64} << 20;  // minimum size of a memfd
};

// Plan for a copy with the dtypes of `stored`, or of the network.
ArenaPlan arena_plan(const model::NetworkSpec& spec, const model::NetworkSpec& stored, int weight_ranks);
ArenaPlan arena_plan(const model::NetworkSpec& spec, int weight_ranks);

}  // namespace ferry::offload
